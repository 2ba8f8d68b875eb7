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
mod panels;
mod picture;
mod scatter;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use curves::{Curves, Series};
pub(crate) use heatmap::HeatMap;
pub(crate) use marks::Look;
pub(crate) use markup::clean;
pub use page::Page;
pub(crate) use page::{Item, Section};
pub(crate) use panels::Panels;
pub(crate) use scatter::{Group, Point, Scatter};
pub(crate) use table::{Cell, TableView};
