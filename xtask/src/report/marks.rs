//! What tells one series from another: colour, marker and (in `style.css`, by colour) dashes.

use plotters::prelude::*;
use plotters::style::RGBColor;

use super::chart::{Drawing, UNIT};
use super::html::escape;

// The colours below are names: `style.css` maps each to a variable of the light or the dark mode. They are chosen so
// that a figure copied out of the page looks right on white.

/// Text and axes.
pub const INK: RGBColor = RGBColor(0x22, 0x26, 0x2A);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xE2, 0xE5, 0xE8);
/// The page, for halos.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// Okabe and Ito's colours without the yellow, which does not show on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x00, 0x00, 0x00),
];

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
pub const RADIUS: i32 = 5 * UNIT;

/// How the series or group with an index looks.
#[derive(Clone, Copy)]
pub struct Mark {
    pub colour: RGBColor,
    shape: Option<Shape>,
}

impl Mark {
    /// The look of the series or group at `index`.
    pub fn of(index: usize) -> Self {
        Self {
            colour: COLOURS[index % COLOURS.len()],
            shape: (index % (SHAPES.len() + 1))
                .checked_sub(1)
                .map(|i| SHAPES[i]),
        }
    }

    /// A marker with a halo, so that it stays apart from what it lies on.
    pub fn draw(&self, drawing: &Drawing, at: (i32, i32)) -> anyhow::Result<()> {
        self.fill(drawing, at, RADIUS + 3 * UNIT / 2, PAPER)?;
        self.fill(drawing, at, RADIUS, self.colour)
    }

    fn fill(
        &self,
        drawing: &Drawing,
        (x, y): (i32, i32),
        radius: i32,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
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
    pub fn line(&self, drawing: &Drawing, points: Vec<(i32, i32)>) -> anyhow::Result<()> {
        let style = self.colour.stroke_width(2 * UNIT as u32);
        Ok(drawing.draw(&PathElement::new(points, style))?)
    }

    /// A ring on a curve, where a stage ends.
    pub fn boundary(&self, drawing: &Drawing, at: (i32, i32)) -> anyhow::Result<()> {
        boundary(drawing, at, self.colour)
    }
}

/// Made of discs: the style sheet would dash a stroke.
fn boundary(drawing: &Drawing, at: (i32, i32), colour: RGBColor) -> anyhow::Result<()> {
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
pub enum Key {
    /// Line and marker of a series.
    Line(Mark),
    /// Marker of a group.
    Point(Mark),
    /// The end of a stage.
    Boundary,
}

/// A legend, in HTML so that it wraps on a phone.
pub fn legend<'a>(entries: impl IntoIterator<Item = (Key, &'a str)>) -> anyhow::Result<String> {
    let mut list = String::new();
    for (key, label) in entries {
        let width = if matches!(key, Key::Line(_)) { 36 } else { 18 };
        let (width, height) = (width * UNIT, 22 * UNIT);
        let centre = (width / 2, height / 2);
        let swatch = super::chart::svg(
            (width, height),
            "class=\"key\" aria-hidden=\"true\"",
            |d| match key {
                Key::Point(mark) => mark.draw(d, centre),
                Key::Line(mark) => {
                    mark.line(d, vec![(0, centre.1), (width, centre.1)])?;
                    mark.draw(d, centre)
                }
                Key::Boundary => boundary(d, centre, INK),
            },
        )?;
        list += &format!("<li>{swatch}<span>{}</span></li>\n", escape(label));
    }
    Ok(format!("<ul class=\"legend\">\n{list}</ul>\n"))
}
