//! Matrices of numbers, coloured by value.

use super::markup::{escape, figure, scrolling};
use crate::ReportError;

/// A matrix of numbers, coloured by value. `None` and non-finite values stay blank.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeatMap {
    /// What the map shows.
    pub caption: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The values, row by row.
    pub values: Vec<Vec<Option<f64>>>,
    /// Values at the ends of the colour scale; by default the least and the greatest. Set it to compare maps.
    pub range: Option<(f64, f64)>,
    /// Digits after the point.
    pub decimals: usize,
    /// Name of the quantity with its unit, at the colour scale.
    pub quantity: String,
}

type Rgb = [u8; 3];

/// Cividis at five points: its lightness rises evenly and it reads the same to colour-blind readers.
const SCALE: [Rgb; 5] = [
    [0, 34, 78],
    [65, 77, 107],
    [124, 123, 120],
    [188, 175, 111],
    [254, 232, 56],
];

impl HeatMap {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        self.check()?;
        let Some((low, high)) = self.limits() else {
            return Ok(figure(
                "map",
                &self.caption,
                "<p class=\"empty\">no data</p>\n",
            ));
        };
        let columns: String = self
            .columns
            .iter()
            .map(|name| format!("<th scope=\"col\"><span>{}</span></th>", escape(name)))
            .collect();
        let rows: String = self
            .rows
            .iter()
            .zip(&self.values)
            .map(|(name, row)| {
                let cells: String = row.iter().map(|v| self.cell(*v, low, high)).collect();
                format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(name))
            })
            .collect();
        let table = format!(
            "<table class=\"heat\">\n<thead>\n<tr><td></td>{columns}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
        );
        let contents = scrolling(&self.caption, &table) + &self.scale(low, high);
        Ok(figure("map", &self.caption, &contents))
    }

    /// That there is a value for each pair of names.
    fn check(&self) -> Result<(), ReportError> {
        let uneven = |reason: String| ReportError::Uneven {
            what: format!("heat map {:?}", self.caption),
            reason,
        };
        if self.values.len() != self.rows.len() {
            return Err(uneven(format!(
                "{} rows of values for {} names",
                self.values.len(),
                self.rows.len()
            )));
        }
        for (name, row) in self.rows.iter().zip(&self.values) {
            if row.len() != self.columns.len() {
                return Err(uneven(format!(
                    "row {name:?} has {} values for {} columns",
                    row.len(),
                    self.columns.len()
                )));
            }
        }
        Ok(())
    }

    /// The ends of the colour scale, or nothing if there is no value.
    fn limits(&self) -> Option<(f64, f64)> {
        let finite = self
            .values
            .iter()
            .flatten()
            .flatten()
            .filter(|v| v.is_finite());
        let found = finite.fold(None, |limits: Option<(f64, f64)>, &v| {
            let (low, high) = limits.unwrap_or((v, v));
            Some((low.min(v), high.max(v)))
        });
        let given = self
            .range
            .filter(|(low, high)| low.is_finite() && high.is_finite());
        found.map(|found| given.unwrap_or(found))
    }

    fn cell(&self, value: Option<f64>, low: f64, high: f64) -> String {
        match value.filter(|v| v.is_finite()) {
            Some(value) => {
                let background = colour(position(value, low, high));
                format!(
                    "<td style=\"background:{};color:{}\">{}</td>",
                    css(background),
                    ink(background),
                    self.number(value)
                )
            }
            None => "<td class=\"blank\" title=\"no value\">–</td>".to_owned(),
        }
    }

    fn scale(&self, low: f64, high: f64) -> String {
        let stops: Vec<String> = SCALE.iter().map(|stop| css(*stop)).collect();
        format!(
            "<p class=\"scale\">{} <span>{}</span><i style=\"background:linear-gradient(to right,{})\"></i><span>{}</span></p>\n",
            escape(&self.quantity),
            self.number(low),
            stops.join(","),
            self.number(high)
        )
    }

    fn number(&self, value: f64) -> String {
        let text = format!("{value:.*}", self.decimals);
        let is_zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
        match text.strip_prefix('-') {
            Some(zero) if is_zero => zero.to_owned(),
            _ => text,
        }
    }
}

/// Where a value lies on the scale, from 0 to 1; halved first, because the difference of two finite numbers may overflow.
fn position(value: f64, low: f64, high: f64) -> f64 {
    let span = high / 2.0 - low / 2.0;
    let position = (value / 2.0 - low / 2.0) / span;
    if position.is_finite() {
        position.clamp(0.0, 1.0)
    } else {
        0.5
    }
}

fn colour(position: f64) -> Rgb {
    let place = position * (SCALE.len() - 1) as f64;
    let below = (place.floor() as usize).min(SCALE.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|channel| {
        let (from, to) = (SCALE[below][channel], SCALE[below + 1][channel]);
        (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8
    })
}

/// Black or white, whichever stands out more: one of them always reaches a contrast of 4.58 (WCAG asks for 4.5).
fn ink(background: Rgb) -> &'static str {
    let light = luminance(background);
    if contrast(1.0, light) > contrast(light, 0.0) {
        "#fff"
    } else {
        "#000"
    }
}

fn contrast(lighter: f64, darker: f64) -> f64 {
    (lighter + 0.05) / (darker + 0.05)
}

/// Relative luminance of an sRGB colour, as WCAG defines it.
fn luminance(colour: Rgb) -> f64 {
    let [r, g, b] = colour.map(|channel| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn css([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_of_the_scale_carries_readable_text() {
        for step in 0..=1000 {
            let background = colour(f64::from(step) / 1000.0);
            let light = luminance(background);
            let reached = match ink(background) {
                "#fff" => contrast(1.0, light),
                _ => contrast(light, 0.0),
            };
            assert!(reached >= 4.5, "{background:?} reaches {reached}");
        }
    }

    #[test]
    fn the_scale_survives_equal_and_enormous_ends() {
        assert_eq!(position(3.0, 3.0, 3.0), 0.5);
        assert_eq!(position(f64::MAX, -f64::MAX, f64::MAX), 1.0);
        assert_eq!(position(7.0, 0.0, 5.0), 1.0);
    }
}
