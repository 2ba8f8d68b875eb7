//! Text columns of Parquet files, where the feature `parquet` is on.

use std::io::BufRead;
use std::path::Path;

use super::{Sink, TaskError};

#[cfg(feature = "parquet")]
mod decode;
#[cfg(feature = "parquet")]
mod guard;
#[cfg(feature = "parquet")]
mod pages;

/// A column to read.
#[cfg_attr(
    not(feature = "parquet"),
    expect(dead_code, reason = "only read with the feature")
)]
pub(crate) struct TextColumn {
    name: &'static str,
    required: bool,
}

impl TextColumn {
    /// A column without which there is nothing to read.
    pub(crate) fn required(name: &'static str) -> Self {
        let required = true;
        Self { name, required }
    }

    /// A column whose absence reads as null in every row.
    pub(crate) fn optional(name: &'static str) -> Self {
        let required = false;
        Self { name, required }
    }
}

/// What [`read_parquet`] makes of a row, which counts from 1: its cells in the order of the columns
/// asked for.
pub(crate) type VisitRow<'v> =
    &'v mut dyn FnMut(usize, &[Option<&str>], &mut dyn Sink) -> Result<(), TaskError>;

/// Reads some columns of a file, row by row. The file is held in memory as it is, not decoded.
#[cfg(feature = "parquet")]
pub(crate) fn read_parquet(
    reader: &mut dyn BufRead,
    path: &Path,
    columns: &[TextColumn],
    sink: &mut dyn Sink,
    visit: VisitRow<'_>,
) -> Result<(), TaskError> {
    decode::read(reader, path, columns, sink, visit)
}

/// Says that this build can't.
#[cfg(not(feature = "parquet"))]
pub(crate) fn read_parquet(
    _reader: &mut dyn BufRead,
    path: &Path,
    _columns: &[TextColumn],
    _sink: &mut dyn Sink,
    _visit: VisitRow<'_>,
) -> Result<(), TaskError> {
    Err(TaskError::NoParquet {
        path: path.to_owned(),
    })
}
