//! Columns of Parquet files, where the feature `parquet` is on.

use std::io::BufRead;
use std::path::Path;

use super::rows::VisitRecord;
#[cfg(feature = "parquet")]
use super::rows::has_required;
use super::{Sink, TaskError, Wanted};

#[cfg(feature = "parquet")]
mod decode;
#[cfg(feature = "parquet")]
mod guard;
#[cfg(feature = "parquet")]
mod pages;

#[cfg(feature = "parquet")]
use decode::{Cell, File, Place};
#[cfg(feature = "parquet")]
use minijinja::Value;

#[cfg(feature = "parquet")]
use super::Record;

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

/// Reads some columns of text of a file, row by row. The file is held in memory as it is, not decoded.
#[cfg(feature = "parquet")]
pub(crate) fn read_parquet(
    reader: &mut dyn BufRead,
    path: &Path,
    columns: &[TextColumn],
    sink: &mut dyn Sink,
    visit: VisitRow<'_>,
) -> Result<(), TaskError> {
    let file = File::read(reader, path)?;
    let places = columns
        .iter()
        .map(|column| file.text(column.name, column.required))
        .collect::<Result<Vec<_>, _>>()?;
    file.rows(&places, sink, &mut |row, cells, sink| {
        let texts = cells.iter().map(|cell| match cell {
            Some(Cell::Text(text)) => Some(*text),
            _ => None,
        });
        visit(row, &texts.collect::<Vec<_>>(), sink)
    })
}

/// Reads the rows of a file as records.
#[cfg(feature = "parquet")]
pub(crate) fn read_parquet_records(
    reader: &mut dyn BufRead,
    path: &Path,
    wanted: &Wanted,
    sink: &mut dyn Sink,
    visit: VisitRecord<'_>,
) -> Result<(), TaskError> {
    let file = File::read(reader, path)?;
    let names = file.names();
    if !has_required(&names, path, wanted, sink)? {
        return Ok(());
    }
    let places = names.iter().filter(|name| wanted.has(name)).map(|name| {
        let place = file.plain(name);
        // Of the columns that nobody has named, those that are lists and the like are left out.
        if wanted.names(name) {
            place.map(Some)
        } else {
            Ok(place.ok())
        }
    });
    let places: Vec<Option<Place>> = places.collect::<Result<_, _>>()?;
    let places: Vec<Place> = places.into_iter().flatten().collect();
    file.rows(&places, sink, &mut |row, cells, sink| {
        let named = places.iter().zip(cells);
        let cells = named
            .map(|((name, _), cell)| (name.clone(), cell.map_or(Value::from(()), Value::from)));
        let record = Record {
            line: row,
            index: row - 1,
            cells: cells.collect(),
        };
        visit(record, sink)
    })
}

#[cfg(feature = "parquet")]
impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Text(text) => Self::from(text),
            Cell::Bool(value) => Self::from(value),
            Cell::Integer(value) => Self::from(value),
            Cell::Float(value) => Self::from(value),
        }
    }
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

/// Says that this build can't.
#[cfg(not(feature = "parquet"))]
pub(crate) fn read_parquet_records(
    _reader: &mut dyn BufRead,
    path: &Path,
    _wanted: &Wanted,
    _sink: &mut dyn Sink,
    _visit: VisitRecord<'_>,
) -> Result<(), TaskError> {
    Err(TaskError::NoParquet {
        path: path.to_owned(),
    })
}
