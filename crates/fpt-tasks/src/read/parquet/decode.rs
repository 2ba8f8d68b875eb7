//! Parquet to rows of cells.

use std::fmt;
use std::io::BufRead;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use ::parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use ::parquet::file::reader::Length;
use ::parquet::file::serialized_reader::SerializedPageReader;
use ::parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use bytes::Bytes;

use super::guard::GuardedPages;
use super::pages::CheckedPages;
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

/// A file in memory, and what it says of itself.
pub(super) struct File<'a> {
    path: &'a Path,
    metadata: ParquetMetaData,
    pages: Arc<GuardedPages>,
}

/// A column to read: its name, and its number if it is there.
pub(super) type Place = (String, Option<usize>);

/// What stands in a cell.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    Text(&'a str),
    Bool(bool),
    Integer(i64),
    Float(f64),
}

/// What [`File::rows`] makes of a row, which counts from 1.
pub(super) type VisitCells<'v> =
    &'v mut dyn FnMut(usize, &[Option<Cell<'_>>], &mut dyn Sink) -> Result<(), TaskError>;

impl<'a> File<'a> {
    pub(super) fn read(reader: &mut dyn BufRead, path: &'a Path) -> Result<Self, TaskError> {
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|source| TaskError::Io {
                path: path.to_owned(),
                source,
            })?;
        let bytes = Bytes::from(bytes);
        let metadata = caught(|| ParquetMetaDataReader::new().parse_and_finish(&bytes))
            .map_err(|reason| error(path, "metadata", reason))?;
        Ok(Self {
            path,
            metadata,
            pages: Arc::new(GuardedPages(bytes)),
        })
    }

    fn columns(&self) -> &[ColumnDescPtr] {
        self.metadata.file_metadata().schema_descr().columns()
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns().iter().map(|c| c.path().string()).collect()
    }

    /// The number of a column of text, if it is there.
    pub(super) fn text(&self, name: &str, required: bool) -> Result<Place, TaskError> {
        let names = self.names();
        let place = names.iter().position(|found| found == name);
        let refused = |reason| Err(error(self.path, "metadata", reason));
        match place {
            None if required => refused(format!(
                "no column `{name}` ({}); is this the task's own file?",
                names.join(", ")
            )),
            Some(place) if !is_text(&self.columns()[place]) => {
                let kind = self.columns()[place].physical_type();
                refused(format!("column `{name}` is {kind}; expected text"))
            }
            place => Ok((name.to_owned(), place)),
        }
    }

    /// The number of a column of texts, numbers or truth values.
    pub(super) fn plain(&self, name: &str) -> Result<Place, TaskError> {
        let place = self.names().iter().position(|found| found == name);
        if let Some(place) = place
            && !is_plain(&self.columns()[place])
        {
            let reason = format!("column `{name}` is no text, number or truth value");
            return Err(error(self.path, "metadata", reason));
        }
        Ok((name.to_owned(), place))
    }

    /// Reads some columns, row by row.
    pub(super) fn rows(
        &self,
        columns: &[Place],
        sink: &mut dyn Sink,
        visit: VisitCells<'_>,
    ) -> Result<(), TaskError> {
        let path = self.path;
        let size = usize::try_from(self.pages.len()).unwrap_or(usize::MAX);
        let mut budget = (size.saturating_mul(MOST_REPETITION)).saturating_add(SMALL_FILE);
        let mut row = 0;
        for (number, group) in self.metadata.row_groups().iter().enumerate() {
            let mut cells = Vec::with_capacity(columns.len());
            for (name, place) in columns {
                let decoder = place.map(|place| Cells::new(&self.pages, group, place));
                let decoder = decoder
                    .transpose()
                    .map_err(|reason| in_group(path, number, name, &reason))?;
                cells.push((name, decoder));
            }
            loop {
                let rows = next_rows(&mut cells)
                    .map_err(|(name, reason)| in_group(path, number, &name, &reason))?;
                if rows == 0 {
                    break;
                }
                for index in 0..rows {
                    row += 1;
                    let found = cells.iter().map(|(name, decoder)| match decoder {
                        Some(decoder) => decoder
                            .cell(index)
                            .map_err(|e| format!("column `{name}`: {e}")),
                        None => Ok(None),
                    });
                    let found = match found.collect::<Result<Vec<_>, _>>() {
                        Ok(found) => found,
                        Err(reason) => {
                            sink.fault(error(path, format!("row {row}"), reason))?;
                            continue;
                        }
                    };
                    let cost = ROW_COST + found.iter().flatten().map(Cell::size).sum::<usize>();
                    budget = budget.checked_sub(cost).ok_or_else(|| {
                        let reason =
                            format!("more than {MOST_REPETITION} times the text of the file");
                        error(path, format!("row {row}"), reason)
                    })?;
                    visit(row, &found, sink)?;
                }
            }
        }
        Ok(())
    }
}

/// Decodes the next rows of all columns; says how many, or in which column what is wrong.
fn next_rows(cells: &mut [(&String, Option<Cells>)]) -> Result<usize, (String, String)> {
    let mut rows = None;
    for (name, decoder) in cells {
        let Some(decoder) = decoder else { continue };
        let read = decoder
            .next()
            .and_then(|read| match *rows.get_or_insert(read) {
                expected if expected == read => Ok(read),
                expected => Err(format!("{read} rows where other columns have {expected}")),
            });
        read.map_err(|reason| (name.to_string(), reason))?;
    }
    Ok(rows.unwrap_or(0))
}

impl Cell<'_> {
    /// Bytes that it may take.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 0,
        }
    }
}

fn error(path: &Path, place: impl Into<String>, reason: impl fmt::Display) -> TaskError {
    TaskError::Parquet {
        path: path.to_owned(),
        place: place.into(),
        reason: reason.to_string(),
    }
}

fn in_group(path: &Path, group: usize, column: &str, reason: &str) -> TaskError {
    error(
        path,
        format!("row group {group}: column `{column}`"),
        reason,
    )
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY && is_flat(column)
}

fn is_plain(column: &ColumnDescriptor) -> bool {
    let kind = column.physical_type();
    !matches!(kind, Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY) && is_flat(column)
}

fn is_flat(column: &ColumnDescriptor) -> bool {
    column.max_rep_level() == 0 && column.max_def_level() <= 1
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
    values: Values,
    optional: bool,
    /// The number of the value of each row; none is null.
    rows: Vec<Option<usize>>,
}

/// Values of one kind, and what decodes more of them.
struct Decoded<T: DataType> {
    decoder: ColumnReaderImpl<T>,
    values: Vec<T::T>,
}

enum Values {
    Text(Decoded<ByteArrayType>),
    Bool(Decoded<BoolType>),
    Int32(Decoded<Int32Type>),
    Int64(Decoded<Int64Type>),
    Float(Decoded<FloatType>),
    Double(Decoded<DoubleType>),
}

impl<T: DataType> Decoded<T> {
    fn new(decoder: ColumnReaderImpl<T>) -> Self {
        Self {
            decoder,
            values: Vec::new(),
        }
    }

    /// Decodes the next rows; says how many, and how many of them have values.
    fn next(&mut self, levels: Option<&mut Vec<i16>>) -> Result<(usize, usize), String> {
        self.values.clear();
        let (decoder, values) = (&mut self.decoder, &mut self.values);
        let (rows, ..) = caught(|| decoder.read_records(ROWS, levels, None, values))?;
        Ok((rows, self.values.len()))
    }
}

impl Values {
    fn next(&mut self, levels: Option<&mut Vec<i16>>) -> Result<(usize, usize), String> {
        match self {
            Self::Text(decoded) => decoded.next(levels),
            Self::Bool(decoded) => decoded.next(levels),
            Self::Int32(decoded) => decoded.next(levels),
            Self::Int64(decoded) => decoded.next(levels),
            Self::Float(decoded) => decoded.next(levels),
            Self::Double(decoded) => decoded.next(levels),
        }
    }

    fn get(&self, index: usize) -> Result<Option<Cell<'_>>, &'static str> {
        Ok(match self {
            Self::Text(decoded) => match decoded.values.get(index) {
                // Not `data()`: it panics on a value that the decoder has not filled.
                Some(value) => Some(Cell::Text(value.as_utf8().map_err(|_| "invalid UTF-8")?)),
                None => None,
            },
            Self::Bool(decoded) => decoded.values.get(index).copied().map(Cell::Bool),
            Self::Int32(decoded) => {
                let value = decoded.values.get(index).copied();
                value.map(|value| Cell::Integer(value.into()))
            }
            Self::Int64(decoded) => decoded.values.get(index).copied().map(Cell::Integer),
            Self::Float(decoded) => {
                let value = decoded.values.get(index).copied();
                value.map(|value| Cell::Float(value.into()))
            }
            Self::Double(decoded) => decoded.values.get(index).copied().map(Cell::Float),
        })
    }
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
        if !is_plain(&descriptor) {
            return Err("no text, number or truth value".to_owned());
        }
        let optional = descriptor.max_def_level() > 0;
        let pages = Box::new(CheckedPages { pages, optional });
        let values = match get_column_reader(descriptor, pages) {
            ColumnReader::ByteArrayColumnReader(decoder) => Values::Text(Decoded::new(decoder)),
            ColumnReader::BoolColumnReader(decoder) => Values::Bool(Decoded::new(decoder)),
            ColumnReader::Int32ColumnReader(decoder) => Values::Int32(Decoded::new(decoder)),
            ColumnReader::Int64ColumnReader(decoder) => Values::Int64(Decoded::new(decoder)),
            ColumnReader::FloatColumnReader(decoder) => Values::Float(Decoded::new(decoder)),
            ColumnReader::DoubleColumnReader(decoder) => Values::Double(Decoded::new(decoder)),
            _ => return Err("no text, number or truth value".to_owned()),
        };
        Ok(Self {
            values,
            optional,
            rows: Vec::new(),
        })
    }

    /// Decodes the next rows; says how many.
    fn next(&mut self) -> Result<usize, String> {
        self.rows.clear();
        let mut levels = Vec::new();
        let definition = self.optional.then_some(&mut levels);
        let (rows, values) = self.values.next(definition)?;
        let mut value = 0..values;
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

    fn cell(&self, row: usize) -> Result<Option<Cell<'_>>, &'static str> {
        match self.rows.get(row).copied().flatten() {
            Some(value) => self.values.get(value),
            None => Ok(None),
        }
    }
}
