//! What the readers share: errors, counted warnings, lines, tables, JSON and Parquet.

mod error;
mod json;
mod lines;
mod parquet;
mod rows;
mod sink;
mod table;
mod tsv;
mod warnings;

pub use error::TaskError;
pub(crate) use json::{Id, Places, json_error, json_lines};
pub(crate) use lines::{Lines, read_text, strip_bom};
pub(crate) use parquet::{TextColumn, read_parquet};
pub use rows::holds_rows;
pub(crate) use rows::{Record, Wanted, read_records};
pub(crate) use sink::Collect;
pub use sink::Sink;
pub use table::{LabelColumn, TableFormat};
pub(crate) use tsv::{QuotedTable, Row, read_quoted_rows, read_rows};
pub use warnings::{Warning, Warnings};
