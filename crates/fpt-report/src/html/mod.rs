//! A self-contained HTML report: tables, learning curves, scatter plots and heat maps from plain values.
//!
//! The page is one file without scripts or external resources, well-formed as XML, readable in light and dark mode, on
//! a phone and on paper. Equal input gives equal bytes.

mod chart;
mod curves;
mod drawing;
mod heatmap;
mod labels;
mod marks;
mod markup;
mod page;
mod palette;
mod scatter;
mod table;
#[cfg(test)]
mod tests;

pub use curves::{Curves, Series};
pub use heatmap::HeatMap;
pub use page::{Item, Page, Section};
pub use scatter::{Group, Point, Scatter};
pub use table::{Cell, TableView};
