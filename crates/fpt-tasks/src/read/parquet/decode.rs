//! Parquet to rows of text.

use std::fmt;
use std::io::BufRead;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use ::parquet::file::reader::Length;
use ::parquet::file::serialized_reader::SerializedPageReader;
use ::parquet::schema::types::ColumnDescriptor;
use bytes::Bytes;

use super::guard::GuardedPages;
use super::pages::CheckedPages;
use super::{TextColumn, VisitRow};
use crate::read::{Sink, TaskError};

/// Rows that are decoded together.
const ROWS: usize = 256;
/// A text that is written once may stand in any number of rows. Text of more than so many times the
/// file is no article's.
const MOST_REPETITION: usize = 256;
/// What a row counts for beside its text, so that empty rows have an end too.
const ROW_COST: usize = 64;
/// What even a tiny file may hold.
const SMALL_FILE: usize = 1 << 20;

/// See [`read_parquet`](super::read_parquet).
pub(super) fn read(
    reader: &mut dyn BufRead,
    path: &Path,
    columns: &[TextColumn],
    sink: &mut dyn Sink,
    visit: VisitRow<'_>,
) -> Result<(), TaskError> {
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|source| TaskError::Io {
            path: path.to_owned(),
            source,
        })?;
    let bytes = Bytes::from(bytes);
    let file = caught(|| ParquetMetaDataReader::new().parse_and_finish(&bytes))
        .map_err(|reason| error(path, "metadata", reason))?;
    let places = columns
        .iter()
        .map(|column| find(&file, column))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| error(path, "metadata", reason))?;
    let mut budget = (bytes.len().saturating_mul(MOST_REPETITION)).saturating_add(SMALL_FILE);
    let pages = Arc::new(GuardedPages(bytes));
    let mut row = 0;
    for (number, group) in file.row_groups().iter().enumerate() {
        let mut cells = Vec::with_capacity(columns.len());
        for (column, place) in columns.iter().zip(&places) {
            let decoder = match place {
                Some(place) => Some(
                    Cells::new(&pages, group, *place)
                        .map_err(|reason| in_group(path, number, column, &reason))?,
                ),
                None => None,
            };
            cells.push((column, decoder));
        }
        loop {
            let mut rows = None;
            for (column, decoder) in &mut cells {
                let Some(decoder) = decoder else { continue };
                let read = decoder
                    .next()
                    .and_then(|read| match *rows.get_or_insert(read) {
                        expected if expected == read => Ok(read),
                        expected => Err(format!("{read} rows where other columns have {expected}")),
                    });
                read.map_err(|reason| in_group(path, number, column, &reason))?;
            }
            let rows = rows.unwrap_or(0);
            if rows == 0 {
                break;
            }
            for index in 0..rows {
                row += 1;
                let texts = cells.iter().map(|(column, decoder)| match decoder {
                    Some(decoder) => decoder
                        .text(index)
                        .map_err(|e| format!("column `{}`: {e}", column.name)),
                    None => Ok(None),
                });
                let texts = match texts.collect::<Result<Vec<_>, _>>() {
                    Ok(texts) => texts,
                    Err(reason) => {
                        sink.fault(error(path, format!("row {row}"), reason))?;
                        continue;
                    }
                };
                let cost = ROW_COST + texts.iter().flatten().map(|text| text.len()).sum::<usize>();
                budget = budget.checked_sub(cost).ok_or_else(|| {
                    let reason = format!("more than {MOST_REPETITION} times the text of the file");
                    error(path, format!("row {row}"), reason)
                })?;
                visit(row, &texts, sink)?;
            }
        }
    }
    Ok(())
}

fn error(path: &Path, place: impl Into<String>, reason: impl fmt::Display) -> TaskError {
    TaskError::Parquet {
        path: path.to_owned(),
        place: place.into(),
        reason: reason.to_string(),
    }
}

fn in_group(path: &Path, group: usize, column: &TextColumn, reason: &str) -> TaskError {
    let place = format!("row group {group}: column `{}`", column.name);
    error(path, place, reason)
}

/// The number of a column, if it is there.
fn find(file: &ParquetMetaData, column: &TextColumn) -> Result<Option<usize>, String> {
    let all = file.file_metadata().schema_descr().columns();
    let Some(place) = all.iter().position(|c| c.path().string() == column.name) else {
        if !column.required {
            return Ok(None);
        }
        let names: Vec<_> = all.iter().map(|c| c.path().string()).collect();
        return Err(format!(
            "no column `{}` ({}); is this the task's own file?",
            column.name,
            names.join(", ")
        ));
    };
    if !is_text(&all[place]) {
        let kind = all[place].physical_type();
        return Err(format!("column `{}` is {kind}; expected text", column.name));
    }
    Ok(Some(place))
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY
        && column.max_rep_level() == 0
        && column.max_def_level() <= 1
}

/// The decoder checks most of what a damaged file may say, but panics at the rest. Nothing of it is
/// used after that.
fn caught<T>(decode: impl FnOnce() -> ::parquet::errors::Result<T>) -> Result<T, String> {
    match panic::catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("damaged".to_owned()),
    }
}

/// Whether a column lies where it says; the decoder panics at negative offsets.
fn is_within(column: &ColumnChunkMetaData, file: u64) -> bool {
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let (Ok(start), Ok(length)) = (
        u64::try_from(start),
        u64::try_from(column.compressed_size()),
    ) else {
        return false;
    };
    start.checked_add(length).is_some_and(|end| end <= file)
}

/// Some cells of one column of a row group.
struct Cells {
    decoder: ColumnReaderImpl<ByteArrayType>,
    optional: bool,
    values: Vec<ByteArray>,
    /// The number of the value of each row; none is null.
    rows: Vec<Option<usize>>,
}

impl Cells {
    fn new(
        pages: &Arc<GuardedPages>,
        group: &RowGroupMetaData,
        place: usize,
    ) -> Result<Self, String> {
        let column = group.columns().get(place).ok_or("missing")?;
        match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY => {}
            other => {
                return Err(format!(
                    "compressed with {other}; write the file with snappy or no compression"
                ));
            }
        }
        if !is_within(column, pages.len()) {
            return Err("lies beyond the end of the file".to_owned());
        }
        let rows = usize::try_from(group.num_rows()).map_err(|e| e.to_string())?;
        let pages = caught(|| SerializedPageReader::new(Arc::clone(pages), column, rows, None))?;
        let descriptor = column.column_descr_ptr();
        let optional = descriptor.max_def_level() > 0;
        match get_column_reader(descriptor, Box::new(CheckedPages { pages, optional })) {
            ColumnReader::ByteArrayColumnReader(decoder) if is_text(column.column_descr()) => {
                Ok(Self {
                    decoder,
                    optional,
                    values: Vec::new(),
                    rows: Vec::new(),
                })
            }
            _ => Err("not text".to_owned()),
        }
    }

    /// Decodes the next rows; says how many.
    fn next(&mut self) -> Result<usize, String> {
        self.values.clear();
        self.rows.clear();
        let mut levels = Vec::new();
        let definition = self.optional.then_some(&mut levels);
        let (decoder, values) = (&mut self.decoder, &mut self.values);
        let (rows, ..) = caught(|| decoder.read_records(ROWS, definition, None, values))?;
        let mut value = 0..self.values.len();
        if self.optional {
            let rows = levels
                .iter()
                .map(|&level| (level > 0).then(|| value.next()).flatten());
            self.rows.extend(rows);
        } else {
            self.rows.extend(value.map(Some));
        }
        if self.rows.len() != rows {
            return Err(format!("{} cells in {rows} rows", self.rows.len()));
        }
        Ok(rows)
    }

    fn text(&self, row: usize) -> Result<Option<&str>, &'static str> {
        let value = self.rows.get(row).copied().flatten();
        let Some(value) = value.and_then(|value| self.values.get(value)) else {
            return Ok(None);
        };
        // Not `data()`: it panics on a value that the decoder has not filled.
        let text = value.as_utf8().map_err(|_| "invalid UTF-8")?;
        Ok(Some(text))
    }
}
