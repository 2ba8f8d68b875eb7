//! Rows of named cells, in whichever format: tables with a header, JSON, Parquet.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::Path;

use minijinja::Value;
use serde_json::value::RawValue;

use super::json::{json_error, json_lines};
use super::{Lines, Places, QuotedTable, Sink, TaskError, read_text, strip_bom};

/// A row of named cells.
pub(crate) struct Record {
    /// Counted from 1; of Parquet the row.
    pub(crate) line: usize,
    /// The number of the row among the good ones, from 0.
    pub(crate) index: usize,
    /// The cells that were asked for, as far as the row has them.
    pub(crate) cells: BTreeMap<String, Value>,
}

/// The columns to read.
pub(crate) struct Wanted {
    /// Those without which there is nothing to read.
    pub(crate) required: BTreeSet<String>,
    /// Those that may be missing.
    pub(crate) optional: BTreeSet<String>,
    /// Whether all the others are wanted, too.
    pub(crate) all: bool,
}

impl Wanted {
    /// Whether a column is wanted by its name.
    pub(super) fn names(&self, column: &str) -> bool {
        self.required.contains(column) || self.optional.contains(column)
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.all || self.names(column)
    }
}

/// What [`read_records`] makes of a row.
pub(crate) type VisitRecord<'v> = &'v mut dyn FnMut(Record, &mut dyn Sink) -> Result<(), TaskError>;

/// What a file is, by its extension.
enum Format {
    /// Commas, or what stands in their place.
    Csv,
    Tsv,
    JsonLines,
    /// An array of objects, or one a line.
    Json,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        match &*extension.to_ascii_lowercase() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Whether a file is one of rows, by its extension.
pub fn holds_rows(path: &Path) -> bool {
    Format::of(path).is_some()
}

/// Reads a file of rows; its extension says what it is: `.csv`, `.tsv`, `.jsonl` (one object a line), `.json` (an array of
/// objects, or one a line) or `.parquet`.
pub(crate) fn read_records(
    reader: &mut dyn BufRead,
    path: &Path,
    wanted: &Wanted,
    sink: &mut dyn Sink,
    visit: VisitRecord<'_>,
) -> Result<(), TaskError> {
    let Some(format) = Format::of(path) else {
        return Err(TaskError::Format {
            path: path.to_owned(),
        });
    };
    match format {
        Format::Csv | Format::Tsv => {
            let delimiter = match format {
                Format::Tsv => b'\t',
                _ => delimiter(start_of(reader, path)?),
            };
            let table = QuotedTable::new(Lines::new(reader, path), delimiter);
            read_table(table, path, wanted, sink, visit)
        }
        Format::Json if starts_an_array(start_of(reader, path)?) => {
            read_array(reader, path, wanted, sink, visit)
        }
        Format::Json | Format::JsonLines => {
            let mut rows = Rows::new(path, wanted, visit);
            json_lines(Lines::new(reader, path), sink, &mut |line, object, sink| {
                rows.object(line, object, sink)
            })
        }
        Format::Parquet => super::parquet::read_parquet_records(reader, path, wanted, sink, visit),
    }
}

/// What of a file is in its reader already.
fn start_of<'r>(reader: &'r mut dyn BufRead, path: &Path) -> Result<&'r [u8], TaskError> {
    reader.fill_buf().map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })
}

/// What separates the cells of a `.csv` file: the comma, unless its first line has none but semicolons or tabs, as
/// spreadsheets write them where the comma is part of numbers.
fn delimiter(start: &[u8]) -> u8 {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or(start);
    let has = |delimiter: &u8| line.contains(delimiter);
    [b',', b';', b'\t'].into_iter().find(has).unwrap_or(b',')
}

fn starts_an_array(start: &[u8]) -> bool {
    let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
    start.trim_ascii_start().starts_with(b"[")
}

fn read_table(
    mut table: QuotedTable<'_>,
    path: &Path,
    wanted: &Wanted,
    sink: &mut dyn Sink,
    visit: VisitRecord<'_>,
) -> Result<(), TaskError> {
    let Some(header) = table.header()? else {
        return Ok(());
    };
    if let Some(twice) = repeated(&header, wanted) {
        return sink.fault(TaskError::Row {
            path: path.to_owned(),
            line: 1,
            reason: format!("two columns are called `{twice}`; rename one"),
        });
    }
    if !has_required(&header, path, wanted, sink)? {
        return Ok(());
    }
    table.rows(header.len(), sink, &mut |row, sink| {
        let named = header.iter().zip(&row.cells);
        let cells = named.filter(|(name, _)| wanted.has(name));
        let record = Record {
            line: row.line,
            index: row.index,
            cells: cells
                .map(|(name, &cell)| (name.clone(), Value::from(cell)))
                .collect(),
        };
        visit(record, sink)
    })
}

/// A wanted name that two columns have.
fn repeated<'h>(header: &'h [String], wanted: &Wanted) -> Option<&'h str> {
    let mut seen = BTreeSet::new();
    let names = header.iter().map(String::as_str);
    names
        .filter(|name| wanted.names(name))
        .find(|name| !seen.insert(*name))
}

/// Whether the required columns are there; each that is missing is a fault.
pub(super) fn has_required(
    header: &[String],
    path: &Path,
    wanted: &Wanted,
    sink: &mut dyn Sink,
) -> Result<bool, TaskError> {
    let mut all = true;
    for column in &wanted.required {
        if !header.contains(column) {
            all = false;
            sink.fault(TaskError::Column {
                path: path.to_owned(),
                column: column.clone(),
                found: header.join(", "),
            })?;
        }
    }
    Ok(all)
}

/// Objects of JSON on their way to rows.
struct Rows<'a, 'v> {
    path: &'a Path,
    wanted: &'a Wanted,
    visit: VisitRecord<'v>,
    count: usize,
}

impl<'a, 'v> Rows<'a, 'v> {
    fn new(path: &'a Path, wanted: &'a Wanted, visit: VisitRecord<'v>) -> Self {
        Self {
            path,
            wanted,
            visit,
            count: 0,
        }
    }

    fn object(
        &mut self,
        line: usize,
        object: BTreeMap<String, serde_json::Value>,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let missing = self.wanted.required.iter();
        let missing: Vec<_> = missing.filter(|key| !object.contains_key(*key)).collect();
        if let Some(first) = missing.first() {
            let found: Vec<_> = object.keys().map(String::as_str).collect();
            return sink.fault(TaskError::Row {
                path: self.path.to_owned(),
                line,
                reason: format!("there is no `{first}`; found {}", found.join(", ")),
            });
        }
        let wanted = object.into_iter().filter(|(name, _)| self.wanted.has(name));
        let record = Record {
            line,
            index: self.count,
            cells: wanted
                .map(|(name, value)| (name, Value::from_serialize(value)))
                .collect(),
        };
        self.count += 1;
        (self.visit)(record, sink)
    }
}

fn read_array(
    reader: &mut dyn BufRead,
    path: &Path,
    wanted: &Wanted,
    sink: &mut dyn Sink,
    visit: VisitRecord<'_>,
) -> Result<(), TaskError> {
    let text = read_text(reader, path, sink)?;
    let text = strip_bom(&text);
    let parts: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| json_error(path, None, &error))?;
    let mut places = Places::new(path, text);
    let mut rows = Rows::new(path, wanted, visit);
    for part in parts {
        let line = places.line(part);
        match serde_json::from_str(part.get()) {
            Ok(object) => rows.object(line, object, sink)?,
            Err(error) => sink.fault(places.error(&error))?,
        }
    }
    Ok(())
}
