//! The colours of the figures.

use plotters::style::RGBColor;

// The colours below are names: `drawing.css` maps each to a variable of the light or the dark mode. They are chosen so
// that a figure copied out of the page looks right on white.

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2A);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(0xE2, 0xE5, 0xE8);
/// The page, for halos.
pub(crate) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// Okabe and Ito's colours without the yellow, which does not show on white.
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x00, 0x00, 0x00),
];
