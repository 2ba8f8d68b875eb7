//! The frame that curves and scatter plots share: axes, grid and the two sizes.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::prelude::*;

use super::drawing::{Drawing, UNIT, svg, text_style};
use super::markup::{clean, escape};
use super::palette::{GRID, INK};
use crate::ReportError;

/// Every figure of its own is drawn twice and the style sheet shows one: shrunk to a phone, a wide figure would be
/// illegible.
const SIZES: [Size; 2] = [
    Size {
        class: "wide",
        width: 760,
        height: 430,
        x_ticks: 9,
        y_ticks: 7,
    },
    Size {
        class: "narrow",
        width: 370,
        height: 340,
        x_ticks: 5,
        y_ticks: 6,
    },
];

/// One of several beside each other.
const PANEL: Size = Size {
    class: "panel",
    width: 380,
    height: 270,
    x_ticks: 5,
    y_ticks: 6,
};

/// Width and height of the wide chart, in drawing units.
pub(crate) const WIDE: [i32; 2] = [SIZES[0].width * UNIT, SIZES[0].height * UNIT];

struct Size {
    class: &'static str,
    width: i32,
    height: i32,
    x_ticks: usize,
    y_ticks: usize,
}

/// Axes of a chart.
pub(crate) struct Axes<'a> {
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub x: Range<f64>,
    pub y: Range<f64>,
}

/// The inside of a chart.
pub(crate) struct Plot<'a, 'b> {
    pub drawing: &'a Drawing<'b>,
    /// Left, top, right and bottom of the space between the axes.
    pub bounds: [i32; 4],
    to_pixel: &'a dyn Fn((f64, f64)) -> (i32, i32),
}

impl Plot<'_, '_> {
    /// Where a point of the data lies in the drawing.
    pub(crate) fn pixel(&self, point: (f64, f64)) -> (i32, i32) {
        (self.to_pixel)(point)
    }
}

impl Axes<'_> {
    /// The chart in both sizes. `description` stands for the picture where it cannot be seen.
    pub(crate) fn draw(
        &self,
        description: &str,
        contents: impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        let sizes = SIZES.iter();
        sizes
            .map(|size| self.draw_as(size, description, &contents))
            .collect()
    }

    /// The chart as one of several.
    pub(crate) fn draw_panel(
        &self,
        description: &str,
        contents: impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        self.draw_as(&PANEL, description, &contents)
    }

    fn draw_as(
        &self,
        size: &Size,
        description: &str,
        contents: &impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        let attributes = format!(
            "class=\"chart {}\" role=\"img\" aria-label=\"{}\"",
            size.class,
            escape(description)
        );
        self.draw_in(size, &attributes, contents)
    }

    /// The wide chart alone, as a part of a drawing, `top` units below its upper edge.
    pub(crate) fn draw_wide(
        &self,
        top: i32,
        contents: impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        let [width, height] = WIDE;
        let attributes = format!("y=\"{top}\" width=\"{width}\" height=\"{height}\"");
        self.draw_in(&SIZES[0], &attributes, &contents)
    }

    fn draw_in(
        &self,
        size: &Size,
        attributes: &str,
        contents: &impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        svg((size.width * UNIT, size.height * UNIT), attributes, |d| {
            self.draw_on(d, size, contents)
        })
    }

    fn draw_on(
        &self,
        drawing: &Drawing<'_>,
        size: &Size,
        contents: impl Fn(&Plot<'_, '_>) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let mut chart = ChartBuilder::on(drawing)
            .margin_top(12 * UNIT)
            .margin_right(18 * UNIT)
            .x_label_area_size(46 * UNIT)
            .y_label_area_size(58 * UNIT)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(UNIT as u32))
            .axis_style(INK.stroke_width(UNIT as u32))
            .set_all_tick_mark_size(5 * UNIT)
            .x_labels(size.x_ticks)
            .y_labels(size.y_ticks)
            .label_style(text_style())
            .axis_desc_style(text_style())
            .x_label_formatter(&|value| tick(*value, &self.x))
            .y_label_formatter(&|value| tick(*value, &self.y))
            .x_desc(clean(self.x_label))
            .y_desc(clean(self.y_label))
            .draw()?;
        let (x, y) = chart.plotting_area().get_pixel_range();
        contents(&Plot {
            drawing,
            bounds: [x.start, y.start, x.end, y.end],
            to_pixel: &|point| chart.backend_coord(&point),
        })
    }
}

/// Whether a number can be drawn: near the ends of `f64` the arithmetic of the axes overflows.
pub(crate) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e100
}

/// The range of drawable values, with room at the ends, or nothing if there are none.
pub(crate) fn range(values: impl IntoIterator<Item = f64>, room: f64) -> Option<Range<f64>> {
    let (low, high) =
        values
            .into_iter()
            .filter(|v| drawable(*v))
            .fold(None, |ends: Option<(f64, f64)>, v| {
                let (low, high) = ends.unwrap_or((v, v));
                Some((low.min(v), high.max(v)))
            })?;
    let magnitude = low.abs().max(high.abs());
    // Differences in the last digits would put equal labels at every tick.
    let room = if high - low > magnitude * 1e-6 {
        (high - low) * room
    } else if magnitude > 1e-100 {
        magnitude * 0.05
    } else {
        1.0
    };
    Some(low - room..high + room)
}

/// A number at an axis, with as many digits as the axis needs.
fn tick(value: f64, range: &Range<f64>) -> String {
    const LARGE: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let largest = range.start.abs().max(range.end.abs());
    let span = range.end - range.start;
    let (divisor, suffix) = match largest {
        l if l < 1e4 => (1.0, ""),
        l => LARGE
            .into_iter()
            .find(|(size, _)| l >= *size)
            .unwrap_or((1.0, "")),
    };
    let digits = -(span / divisor / 10.0).log10().floor();
    if digits > 6.0 || largest / divisor >= 1e6 {
        return format!("{value:.1e}").replace('-', "−");
    }
    let text = format!("{:.*}", digits.max(0.0) as usize, value / divisor);
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    match text {
        "0" | "-0" => "0".to_owned(),
        text => text.replace('-', "−") + suffix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_as_exact_as_the_axis_needs() {
        assert_eq!(tick(60.0, &(20.0..105.0)), "60");
        assert_eq!(tick(0.5, &(0.0..2.5)), "0.5");
        assert_eq!(tick(-0.05, &(-0.1..0.1)), "−0.05");
        assert_eq!(tick(1.5e15, &(0.0..4e15)), "1.5P");
        assert_eq!(tick(20_000.0, &(0.0..30_000.0)), "20k");
        assert_eq!(tick(-0.0, &(-1.0..1.0)), "0");
        assert_eq!(tick(2e-9, &(0.0..4e-9)), "2.0e−9");
    }

    #[test]
    fn a_range_always_has_an_extent() {
        assert_eq!(range([f64::NAN, f64::INFINITY], 0.1), None);
        for values in [
            [0.0, 0.0],
            [5.0, 5.0],
            [-1e99, 1e99],
            [1.0, 1.0 + 1e-15],
            [0.0, 1e-300],
        ] {
            let range = range(values, 0.1).expect("drawable values");
            assert!(range.start < range.end, "{values:?}: {range:?}");
        }
    }
}
