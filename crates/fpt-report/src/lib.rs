#![doc = include_str!("../README.md")]

mod error;
mod html;
mod results;

pub use error::ReportError;
pub use html::Page;
pub use results::{
    Entry, Improve, Report, Results, Row, Run, Start, Summary, Table, TableCell, write,
};
