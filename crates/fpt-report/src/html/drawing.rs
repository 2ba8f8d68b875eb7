//! SVG elements: their units, their text, and what is drawn in them.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontFamily, TextStyle};

use super::palette::INK;
use crate::ReportError;

/// Drawing units to a CSS pixel: plotters draws at whole units, too coarse for a smooth curve.
pub(crate) const UNIT: i32 = 4;
/// Height of the text, in CSS pixels.
pub(crate) const TEXT: i32 = 13;

/// What figures are drawn on.
pub(crate) type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG element of a size in drawing units, with `attributes` of our own in place of plotters'.
pub(crate) fn svg(
    (width, height): (i32, i32),
    attributes: &str,
    contents: impl FnOnce(&Drawing<'_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut text = String::new();
    let drawing =
        SVGBackend::with_string(&mut text, (width as u32, height as u32)).into_drawing_area();
    contents(&drawing)?;
    drawing.present()?;
    drop(drawing);
    let (_, body) = text.split_once('>').ok_or(ReportError::NoSvg)?;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" {attributes}>{body}"
    ))
}

/// Text of the usual size and colour; plotters divides sizes by 1.24 when it writes SVG.
pub(crate) fn text_style<'a>() -> TextStyle<'a> {
    let size = f64::from(TEXT * UNIT) * 1.24;
    (FontFamily::SansSerif, size).into_font().color(&INK)
}
