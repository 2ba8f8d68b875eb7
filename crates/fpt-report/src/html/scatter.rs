//! Labelled points.

use plotters::element::Text;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Axes, Plot, drawable, range};
use super::drawing::{TEXT, UNIT, text_style};
use super::labels::{Area, place};
use super::marks::{Key, Look, Mark, RADIUS, legend};
use super::markup::{clean, figure};
use crate::ReportError;

/// Labelled points.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scatter {
    /// What the points show.
    pub caption: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// Points that look alike.
    pub groups: Vec<Group>,
}

/// Points that look alike.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// Name in the legend.
    pub label: String,
    /// How the points look.
    pub look: Look,
    /// The points; those that are not finite are skipped.
    pub points: Vec<Point>,
}

/// A point.
#[derive(Debug, Clone, Default)]
pub(crate) struct Point {
    /// Horizontal position.
    pub x: f64,
    /// Vertical position.
    pub y: f64,
    /// Written beside the point; may be empty.
    pub label: String,
    /// Half length of a horizontal error bar.
    pub x_error: Option<f64>,
    /// Half length of a vertical error bar.
    pub y_error: Option<f64>,
}

impl Point {
    /// The error bars, zero where there is none that can be drawn.
    fn errors(&self) -> (f64, f64) {
        let usable = |value: f64, error: Option<f64>| {
            error
                .map(f64::abs)
                .filter(|e| drawable(value - e) && drawable(value + e))
                .unwrap_or(0.0)
        };
        (usable(self.x, self.x_error), usable(self.y, self.y_error))
    }
}

impl Scatter {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        let points: Vec<(Mark, &Point)> = self
            .groups
            .iter()
            .flat_map(|group| group.points.iter().map(|p| (Mark::from(group.look), p)))
            .filter(|(_, point)| drawable(point.x) && drawable(point.y))
            .collect();
        let ends = |of: &dyn Fn(&Point) -> (f64, f64)| -> Vec<f64> {
            points
                .iter()
                .map(|(_, point)| of(point))
                .flat_map(|(value, error)| [value - error, value + error])
                .collect()
        };
        let (Some(x), Some(y)) = (
            range(ends(&|p| (p.x, p.errors().0)), 0.08),
            range(ends(&|p| (p.y, p.errors().1)), 0.08),
        ) else {
            return Ok(figure(
                "plot",
                &self.caption,
                "<p class=\"empty\">no data</p>\n",
            ));
        };
        let axes = Axes {
            x_label: &self.x_label,
            y_label: &self.y_label,
            x,
            y,
        };
        let chart = axes.draw(&self.description(), |plot| {
            points.iter().try_for_each(|(mark, point)| {
                mark.error_bars(plot, (point.x, point.y), point.errors())
            })?;
            points.iter().try_for_each(|(mark, point)| {
                mark.draw(plot.drawing, plot.pixel((point.x, point.y)))
            })?;
            draw_labels(plot, &points)
        })?;
        let keys = self
            .groups
            .iter()
            .map(|group| (Key::Point(group.look.into()), group.label.as_str()));
        Ok(figure("plot", &self.caption, &(legend(keys)? + &chart)))
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.groups.iter().map(|g| g.label.as_str()).collect();
        format!(
            "{} Scatter plot, {} over {}, of {}.",
            self.caption,
            self.y_label,
            self.x_label,
            names.join(", ")
        )
    }
}

fn draw_labels(plot: &Plot<'_, '_>, points: &[(Mark, &Point)]) -> Result<(), ReportError> {
    let pixels: Vec<(i32, i32)> = points.iter().map(|(_, p)| plot.pixel((p.x, p.y))).collect();
    let taken = points
        .iter()
        .map(|(_, point)| covered(plot, point))
        .collect();
    let labelled: Vec<(&(i32, i32), String)> = pixels
        .iter()
        .zip(points)
        .filter(|(_, (_, point))| !point.label.is_empty())
        .map(|(pixel, (_, point))| (pixel, clean(&point.label)))
        .collect();
    let at: Vec<(i32, i32)> = labelled.iter().map(|(pixel, _)| **pixel).collect();
    let sizes: Vec<(i32, i32)> = labelled.iter().map(|(_, label)| extent(label)).collect();
    let [left, top, right, bottom] = plot.bounds;
    let bounds = Area {
        left,
        top,
        right,
        bottom,
    };
    let places = place(&at, &sizes, RADIUS + 3 * UNIT, bounds, taken);
    for (((x, _), label), area) in labelled.into_iter().zip(places) {
        // Anchored at the end that is towards the point: the width is only an estimate.
        let (at, anchor) = match area {
            Area { left, .. } if left > *x => (left, HPos::Left),
            Area { right, .. } if right < *x => (right, HPos::Right),
            Area { left, right, .. } => ((left + right) / 2, HPos::Center),
        };
        let at = (at, (area.top + area.bottom) / 2);
        let style = text_style().pos(Pos::new(anchor, VPos::Center));
        plot.drawing.draw(&Text::new(label, at, style))?;
    }
    Ok(())
}

/// What a point covers with its error bars.
fn covered(plot: &Plot<'_, '_>, point: &Point) -> Area {
    let (x_error, y_error) = point.errors();
    let (left, bottom) = plot.pixel((point.x - x_error, point.y - y_error));
    let (right, top) = plot.pixel((point.x + x_error, point.y + y_error));
    let marker = Area::around(plot.pixel((point.x, point.y)), RADIUS + 2 * UNIT);
    Area {
        left: left.min(marker.left),
        top: top.min(marker.top),
        right: right.max(marker.right),
        bottom: bottom.max(marker.bottom),
    }
}

/// Width and height of a text, roughly: the reader's fonts are not known here.
fn extent(text: &str) -> (i32, i32) {
    let width = text.chars().count() as f64 * f64::from(TEXT * UNIT) * 0.6;
    (width.round() as i32 + 3 * UNIT, TEXT * UNIT)
}
