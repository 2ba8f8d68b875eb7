#![doc = include_str!("../README.md")]

mod csv;
mod error;
mod html;
mod markdown;
mod results;

pub use csv::csv_line;
pub use error::ReportError;
pub use html::Page;
pub use markdown::MarkdownTable;
pub use results::{
    Entry, FILES, Improve, Report, Results, Row, Run, Start, Summary, Table, TableCell, write,
};
