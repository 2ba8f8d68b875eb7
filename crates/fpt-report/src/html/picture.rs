//! A figure as a file of its own, to be shown elsewhere: in a README, a paper, a talk.

use super::chart::WIDE;
use super::drawing::{TEXT, UNIT};
use super::marks::Key;
use super::markup::escape;
use crate::ReportError;

const STYLE: &str = include_str!("drawing.css");

/// Space around the legend and between its entries, in drawing units.
const GAP: i32 = 8 * UNIT;

/// The width that a letter is given, in drawing units: nothing here knows the font.
const LETTER: i32 = 8 * UNIT;

/// A legend above a chart, which `chart` draws so many units below the upper edge. It follows the reader's light or dark
/// mode, and names no font but a kind.
pub(super) fn picture(
    description: &str,
    keys: Vec<(Key, &str)>,
    chart: impl FnOnce(i32) -> Result<String, ReportError>,
) -> Result<String, ReportError> {
    let [width, height] = WIDE;
    let (mut x, mut y) = (GAP, GAP);
    let mut legend = String::new();
    for (key, label) in keys {
        let text = LETTER * label.chars().count() as i32;
        let wide = key.width() + GAP + text;
        if x > GAP && x + wide > width {
            (x, y) = (GAP, y + Key::HEIGHT);
        }
        let (key_width, key_height) = (key.width(), Key::HEIGHT);
        let place = format!("x=\"{x}\" y=\"{y}\" width=\"{key_width}\" height=\"{key_height}\"");
        legend += &key.draw(&place)?;
        legend += &format!(
            "<text x=\"{}\" y=\"{}\" fill=\"#22262A\">{}</text>\n",
            x + key_width + GAP,
            y + Key::HEIGHT / 2 + TEXT * UNIT / 3,
            escape(label)
        );
        x += wide + 2 * GAP;
    }
    let top = y + Key::HEIGHT + GAP;
    let chart = chart(top)?;
    let all = top + height;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {all}\" width=\"{}\" height=\"{}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"{}\" role=\"img\" aria-label=\"{}\">\n\
         <style>\n{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{all}\" fill=\"#FFFFFF\"/>\n{legend}{chart}</svg>\n",
        width / UNIT,
        all / UNIT,
        TEXT * UNIT,
        escape(description)
    ))
}
