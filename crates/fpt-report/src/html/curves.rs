//! Lines over a common axis.

use super::chart::{Axes, Plot, drawable, range};
use super::marks::{Key, Mark, legend};
use super::markup::figure;
use super::picture::picture;
use crate::ReportError;

/// Lines over a common axis, such as scores over training.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curves {
    /// What the curves show.
    pub caption: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// Name in the legend.
    pub label: String,
    /// Points in the order in which the line connects them; those that are not finite are skipped.
    pub points: Vec<(f64, f64)>,
    /// Where on the horizontal axis a stage ends; marked on the line. The points must then be in ascending order.
    pub boundaries: Vec<f64>,
}

/// Markers on a line, so that it is known without its colour.
const MARKERS: usize = 7;

impl Curves {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        let lines = self.lines();
        let Some(axes) = self.axes(&lines) else {
            return Ok(figure(
                "plot",
                &self.caption,
                "<p class=\"empty\">no data</p>\n",
            ));
        };
        let chart = axes.draw(&self.description(), |plot| draw(&lines, plot))?;
        let legend = legend(self.keys(&lines))?;
        Ok(figure("plot", &self.caption, &(legend + &chart)))
    }

    /// The picture as a file of its own, with its legend; `None` without data.
    pub(crate) fn to_svg(&self) -> Result<Option<String>, ReportError> {
        let lines = self.lines();
        let Some(axes) = self.axes(&lines) else {
            return Ok(None);
        };
        picture(&self.description(), self.keys(&lines), |top| {
            axes.draw_wide(top, |plot| draw(&lines, plot))
        })
        .map(Some)
    }

    fn lines(&self) -> Vec<Line> {
        self.series.iter().enumerate().map(Line::of).collect()
    }

    /// `None` without data.
    fn axes(&self, lines: &[Line]) -> Option<Axes<'_>> {
        let points = || lines.iter().flat_map(|line| &line.points);
        Some(Axes {
            x_label: &self.x_label,
            y_label: &self.y_label,
            x: range(points().map(|p| p.0), 0.02)?,
            y: range(points().map(|p| p.1), 0.06)?,
        })
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|s| s.label.as_str()).collect();
        format!(
            "{} Line chart, {} over {}, of {}.",
            self.caption,
            self.y_label,
            self.x_label,
            names.join(", ")
        )
    }

    fn keys(&self, lines: &[Line]) -> Vec<(Key, &str)> {
        let of_lines = lines.iter().map(|line| Key::Line(line.mark));
        let names = self.series.iter().map(|series| series.label.as_str());
        let stages = lines.iter().any(|line| !line.boundaries.is_empty());
        of_lines
            .zip(names)
            .chain(stages.then_some((Key::Boundary, "end of a stage")))
            .collect()
    }
}

fn draw(lines: &[Line], plot: &Plot<'_, '_>) -> Result<(), ReportError> {
    // All lines first: no line may hide the marks of another.
    lines.iter().try_for_each(|line| line.draw(plot))?;
    lines.iter().try_for_each(|line| line.draw_marks(plot))
}

/// A series as it is drawn.
struct Line {
    mark: Mark,
    index: usize,
    points: Vec<(f64, f64)>,
    boundaries: Vec<(f64, f64)>,
}

impl Line {
    fn of((index, series): (usize, &Series)) -> Self {
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .copied()
            .filter(|(x, y)| drawable(*x) && drawable(*y))
            .collect();
        let boundaries = series
            .boundaries
            .iter()
            .filter_map(|x| Some((*x, height(&points, *x)?)))
            .collect();
        Self {
            mark: Mark::of(index),
            index,
            points,
            boundaries,
        }
    }

    fn draw(&self, plot: &Plot<'_, '_>) -> Result<(), ReportError> {
        if self.points.is_empty() {
            return Ok(());
        }
        let pixels = self.points.iter().map(|p| plot.pixel(*p)).collect();
        self.mark.line(plot.drawing, pixels)
    }

    fn draw_marks(&self, plot: &Plot<'_, '_>) -> Result<(), ReportError> {
        let step = self.points.len().div_ceil(MARKERS).max(1);
        // Staggered, so that markers of lines that run together do not pile up.
        let first = self.index * step / 3 % step;
        for point in self.points.iter().skip(first).step_by(step) {
            self.mark.draw(plot.drawing, plot.pixel(*point))?;
        }
        for boundary in &self.boundaries {
            self.mark.boundary(plot.drawing, plot.pixel(*boundary))?;
        }
        Ok(())
    }
}

/// The height of a line at `x`, or nothing beyond its ends.
fn height(points: &[(f64, f64)], x: f64) -> Option<f64> {
    points.windows(2).find_map(|pair| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        (x0 <= x && x <= x1).then(|| match x1 - x0 {
            0.0 => y0,
            width => y0 + (y1 - y0) * (x - x0) / width,
        })
    })
}
