#![doc = include_str!("../README.md")]

mod claims;
mod csv;
mod error;
mod frontier;
mod html;
mod markdown;
mod results;
mod stats;
#[cfg(test)]
mod tests;

pub use claims::{Arm, Claim, Evidence, Finding, Pair, Seed, StartClaim, Verdict};
pub use csv::csv_line;
pub use error::ReportError;
pub use frontier::{Frontier, FrontierPoint};
pub use html::Page;
pub use markdown::MarkdownTable;
pub use results::{
    COMMAND, Entry, FILES, Improve, Origin, PAGES, Report, Results, Row, Run, Start, Table,
    TableCell, write,
};
pub use stats::{PairedTest, Summary};
