//! What the readers share: errors, counted warnings, lines and tables.

mod error;
mod json;
mod lines;
mod tsv;
mod warnings;

pub use error::TaskError;
pub(crate) use json::json_error;
pub(crate) use lines::{Lines, strip_bom};
pub(crate) use tsv::{Header, read_rows};
pub use warnings::{Warning, Warnings};
