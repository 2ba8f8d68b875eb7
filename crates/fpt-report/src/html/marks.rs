//! What tells one series from another: colour, marker, hollow or not, and (in `drawing.css`, by colour) dashes.

use plotters::prelude::*;
use plotters::style::RGBColor;

use super::chart::Plot;
use super::drawing::{Drawing, UNIT, svg};
use super::markup::escape;
use super::palette::{COLOURS, INK, PAPER};
use crate::ReportError;

/// The shape of a marker, around the origin, in units of its radius.
type Shape = &'static [(f64, f64)];

const SQUARE: Shape = &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)];
const UP: Shape = &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)];
const DIAMOND: Shape = &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)];
const DOWN: Shape = &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)];
const PLUS: Shape = &[
    (-0.4, -1.2),
    (0.4, -1.2),
    (0.4, -0.4),
    (1.2, -0.4),
    (1.2, 0.4),
    (0.4, 0.4),
    (0.4, 1.2),
    (-0.4, 1.2),
    (-0.4, 0.4),
    (-1.2, 0.4),
    (-1.2, -0.4),
    (-0.4, -0.4),
];

/// The shapes beside the circle. With it they are six to seven colours, so that 42 series differ in the pair.
const SHAPES: [Shape; 5] = [SQUARE, UP, DIAMOND, DOWN, PLUS];

/// Radius of a marker.
pub(crate) const RADIUS: i32 = 5 * UNIT;

/// How a series or group is to look, whatever stands beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// One of so many colours and markers, from 0.
    pub index: usize,
    /// Whether only the markers' edges are drawn.
    pub hollow: bool,
}

impl Look {
    /// The look with this number; 42 of them differ.
    pub(crate) const fn nth(index: usize) -> Self {
        Self {
            index,
            hollow: false,
        }
    }

    /// With only the markers' edges.
    pub(crate) const fn hollow(self) -> Self {
        Self {
            hollow: true,
            ..self
        }
    }
}

/// What a [`Look`] comes to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub colour: RGBColor,
    shape: Option<Shape>,
    hollow: bool,
}

impl From<Look> for Mark {
    fn from(Look { index, hollow }: Look) -> Self {
        Self {
            colour: COLOURS[index % COLOURS.len()],
            shape: (index % (SHAPES.len() + 1))
                .checked_sub(1)
                .map(|i| SHAPES[i]),
            hollow,
        }
    }
}

impl Mark {
    /// A marker with a halo, so that it stays apart from what it lies on.
    pub(crate) fn draw(&self, drawing: &Drawing<'_>, at: (i32, i32)) -> Result<(), ReportError> {
        self.fill(drawing, at, RADIUS + 3 * UNIT / 2, PAPER)?;
        self.fill(drawing, at, RADIUS, self.colour)?;
        if self.hollow {
            self.fill(drawing, at, RADIUS - 2 * UNIT, PAPER)?;
        }
        Ok(())
    }

    /// Error bars, of no length where there is none, around a point of the plot.
    pub(crate) fn error_bars(
        &self,
        plot: &Plot<'_, '_>,
        (x, y): (f64, f64),
        (x_error, y_error): (f64, f64),
    ) -> Result<(), ReportError> {
        let (thin, cap) = (UNIT / 2, 4 * UNIT);
        let bar = |left: i32, top: i32, right: i32, bottom: i32| {
            let corners = [(left, top), (right, bottom)];
            plot.drawing
                .draw(&Rectangle::new(corners, self.colour.filled()))
        };
        let (left, low) = plot.pixel((x - x_error, y - y_error));
        let (right, high) = plot.pixel((x + x_error, y + y_error));
        let (x, y) = plot.pixel((x, y));
        if x_error > 0.0 {
            bar(left, y - thin, right, y + thin)?;
            for end in [left, right] {
                bar(end - thin, y - cap, end + thin, y + cap)?;
            }
        }
        if y_error > 0.0 {
            bar(x - thin, high, x + thin, low)?;
            for end in [high, low] {
                bar(x - cap, end - thin, x + cap, end + thin)?;
            }
        }
        Ok(())
    }

    fn fill(
        &self,
        drawing: &Drawing<'_>,
        (x, y): (i32, i32),
        radius: i32,
        colour: RGBColor,
    ) -> Result<(), ReportError> {
        match self.shape {
            None => drawing.draw(&Circle::new((x, y), radius, colour.filled()))?,
            Some(shape) => {
                let scale = |part: f64| (part * f64::from(radius)).round() as i32;
                let corners: Vec<(i32, i32)> = shape
                    .iter()
                    .map(|(dx, dy)| (x + scale(*dx), y + scale(*dy)))
                    .collect();
                drawing.draw(&Polygon::new(corners, colour.filled()))?;
            }
        }
        Ok(())
    }

    /// The line of a series.
    pub(crate) fn line(
        &self,
        drawing: &Drawing<'_>,
        points: Vec<(i32, i32)>,
    ) -> Result<(), ReportError> {
        let style = self.colour.stroke_width(2 * UNIT as u32);
        Ok(drawing.draw(&PathElement::new(points, style))?)
    }

    /// A ring on a curve, where a stage ends.
    pub(crate) fn boundary(
        &self,
        drawing: &Drawing<'_>,
        at: (i32, i32),
    ) -> Result<(), ReportError> {
        boundary(drawing, at, self.colour)
    }
}

/// Made of discs: the style sheet would dash a stroke.
fn boundary(drawing: &Drawing<'_>, at: (i32, i32), colour: RGBColor) -> Result<(), ReportError> {
    for (radius, colour) in [
        (7 * UNIT, PAPER),
        (11 * UNIT / 2, colour),
        (3 * UNIT, PAPER),
    ] {
        drawing.draw(&Circle::new(at, radius, colour.filled()))?;
    }
    Ok(())
}

/// What an entry of the legend shows beside its name.
pub(crate) enum Key {
    /// Line and marker of a series.
    Line(Mark),
    /// Marker of a group.
    Point(Mark),
    /// The end of a stage.
    Boundary,
}

impl Key {
    /// Height of what is shown, in drawing units.
    pub(crate) const HEIGHT: i32 = 22 * UNIT;

    /// Width of what is shown, in drawing units.
    pub(crate) const fn width(&self) -> i32 {
        match self {
            Self::Line(_) => 36 * UNIT,
            Self::Point(_) | Self::Boundary => 18 * UNIT,
        }
    }

    /// What is shown, as an SVG element with these attributes.
    pub(crate) fn draw(&self, attributes: &str) -> Result<String, ReportError> {
        let (width, height) = (self.width(), Self::HEIGHT);
        let centre = (width / 2, height / 2);
        svg((width, height), attributes, |d| match self {
            Self::Point(mark) => mark.draw(d, centre),
            Self::Line(mark) => {
                mark.line(d, vec![(0, centre.1), (width, centre.1)])?;
                mark.draw(d, centre)
            }
            Self::Boundary => boundary(d, centre, INK),
        })
    }
}

/// A legend, in HTML so that it wraps on a phone.
pub(crate) fn legend<'a>(
    entries: impl IntoIterator<Item = (Key, &'a str)>,
) -> Result<String, ReportError> {
    let mut list = String::new();
    for (key, label) in entries {
        let swatch = key.draw("class=\"key\" aria-hidden=\"true\"")?;
        list += &format!("<li>{swatch}<span>{}</span></li>\n", escape(label));
    }
    Ok(format!("<ul class=\"legend\">\n{list}</ul>\n"))
}
