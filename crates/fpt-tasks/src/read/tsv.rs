//! Tab-separated tables as GLUE has them: no quoting, so `"` is an ordinary character.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use super::{Lines, Sink, TaskError, Warning};
use crate::example::{Example, Gold};

/// So few malformed rows are accidents, however small the file.
const TOLERATED_ROWS: usize = 9;
/// Above this share of malformed rows the file is something else.
const TOLERATED_PERCENT: usize = 1;

/// The columns of a table.
pub(crate) struct Header {
    columns: Vec<String>,
}

impl Header {
    /// Reads the first line.
    pub(crate) fn read(lines: &mut Lines<'_>, expected: &str) -> Result<Self, TaskError> {
        let path = lines.path();
        let Some((_, line)) = lines.next_line()? else {
            return Err(empty(path, expected));
        };
        let columns = line.split('\t').map(|name| name.trim().to_owned());
        Ok(Self {
            columns: columns.collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn find(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// Where the columns are. Without one of them there is nothing to read, but every missing one
    /// is reported.
    pub(crate) fn require(
        &self,
        path: &Path,
        columns: &[&str],
        sink: &mut dyn Sink,
    ) -> Result<Option<Vec<usize>>, TaskError> {
        let mut places = Vec::with_capacity(columns.len());
        for column in columns {
            match self.find(column) {
                Some(place) => places.push(place),
                None => sink.fault(TaskError::Column {
                    path: path.to_owned(),
                    column: (*column).to_owned(),
                    found: self.columns.join(", "),
                })?,
            }
        }
        Ok((places.len() == columns.len()).then_some(places))
    }
}

/// One row with the expected number of columns.
pub(crate) struct Row<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Counted from 1.
    pub(crate) line: usize,
    /// The number of the row among the good ones, from 0.
    pub(crate) index: usize,
    /// The values, one for each column.
    pub(crate) cells: Vec<&'a str>,
}

impl Row<'_> {
    /// Says that there will be no example of this row.
    pub(crate) fn skip(&self, sink: &mut dyn Sink, reason: impl Into<String>) {
        sink.skip(self.line, Warning::at_line(self.path, self.line, reason));
    }

    /// An error about this row.
    pub(crate) fn error(&self, reason: impl Into<String>) -> TaskError {
        TaskError::Row {
            path: self.path.to_owned(),
            line: self.line,
            reason: reason.into(),
        }
    }

    /// Shows a text of this row.
    pub(crate) fn field(&self, sink: &mut dyn Sink, name: &str, text: &str) {
        sink.field(self.line, name, text);
    }

    /// Makes an example of this row with a single answer, or with a hidden one. The id is the cell
    /// of the column `id`, if there is one.
    pub(crate) fn example(
        &self,
        sink: &mut dyn Sink,
        id: Option<usize>,
        source: String,
        target: Option<&str>,
    ) {
        let target = target.map(str::to_owned);
        let example = Example {
            id: id.map_or_else(|| self.index.to_string(), |id| self.cells[id].to_owned()),
            source,
            gold: target
                .clone()
                .map_or(Gold::Hidden, |target| Gold::Answers(vec![target])),
            target,
            group: self.index,
            candidates: Arc::default(),
        };
        sink.example(self.line, example);
    }
}

/// What [`read_rows`] makes of a row.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Row<'_>, &mut dyn Sink) -> Result<(), TaskError>;

/// Reads the remaining lines as rows of `columns` cells each. Rows of another width are skipped
/// with a warning, unless there are too many of them. Quotes are text; where they look as if they
/// were not meant to be, that is said.
pub(crate) fn read_rows(
    mut lines: Lines<'_>,
    columns: usize,
    sink: &mut dyn Sink,
    visit: Visit<'_>,
) -> Result<(), TaskError> {
    let path = lines.path();
    let mut rows = Rows::new(path, columns);
    let mut quotes = Quotes::default();
    while let Some((line, text)) = lines.next_valid(sink)? {
        let cells: Vec<_> = text.split('\t').collect();
        quotes.look_at(line, &cells);
        rows.visit(line, cells, sink, visit)?;
    }
    quotes.tell(path, sink);
    rows.finish(sink)
}

/// Reads the rest as rows of `columns` cells each, as programs write tables: a cell in quotes may hold
/// tabs, line breaks and, doubled, quotes.
pub(crate) fn read_quoted_rows(
    lines: Lines<'_>,
    columns: usize,
    sink: &mut dyn Sink,
    visit: Visit<'_>,
) -> Result<(), TaskError> {
    QuotedTable::new(lines, b'\t').rows(columns, sink, visit)
}

/// A table as programs write them, record by record.
pub(crate) struct QuotedTable<'a> {
    path: &'a Path,
    /// Lines before the first record.
    before: usize,
    records: csv::Reader<Quoted<'a>>,
}

impl<'a> QuotedTable<'a> {
    /// Of the rest of `lines`, whose cells `delimiter` separates.
    pub(crate) fn new(lines: Lines<'a>, delimiter: u8) -> Self {
        let path = lines.path();
        let (reader, before) = lines.rest();
        let records = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Quoted {
                reader,
                open: false,
            });
        Self {
            path,
            before,
            records,
        }
    }

    /// The next record, its line, and whether it has more than that one.
    fn next(&mut self, record: &mut csv::ByteRecord) -> Result<Option<(usize, bool)>, TaskError> {
        let more = self.records.read_byte_record(record);
        let more = more.map_err(|error| TaskError::Io {
            path: self.path.to_owned(),
            source: error.into(),
        })?;
        let line = record.position().map_or(0, |at| at.line() as usize);
        let lines = (self.records.position().line() as usize).saturating_sub(line);
        Ok(more.then_some((line + self.before, lines > 1)))
    }

    /// The names of the columns, trimmed, which the next record has; `None` where there is nothing.
    pub(crate) fn header(&mut self) -> Result<Option<Vec<String>>, TaskError> {
        let mut record = csv::ByteRecord::new();
        let Some((line, _)) = self.next(&mut record)? else {
            return Ok(None);
        };
        let names = record.iter().map(|name| {
            let name = std::str::from_utf8(name).map_err(|_| TaskError::Utf8 {
                path: self.path.to_owned(),
                line,
            })?;
            Ok(name.trim().to_owned())
        });
        names.collect::<Result<_, _>>().map(Some)
    }

    /// The rest as rows of so many cells.
    pub(crate) fn rows(
        mut self,
        columns: usize,
        sink: &mut dyn Sink,
        visit: Visit<'_>,
    ) -> Result<(), TaskError> {
        let mut rows = Rows::new(self.path, columns);
        let mut record = csv::ByteRecord::new();
        let mut last = None;
        while let Some((line, is_long)) = self.next(&mut record)? {
            last = is_long.then_some(line);
            let cells: Result<Vec<_>, _> = record.iter().map(std::str::from_utf8).collect();
            match cells {
                Ok(cells) => rows.visit(line, cells, sink, visit)?,
                Err(_) => sink.fault(TaskError::Utf8 {
                    path: self.path.to_owned(),
                    line,
                })?,
            }
        }
        // Of all that follows a quote that is never closed there is one cell.
        if let Some(line) = last.filter(|_| self.records.get_ref().open) {
            sink.fault(TaskError::Row {
                path: self.path.to_owned(),
                line,
                reason: "a quote is opened here or below and never closed; double quotes that are text, and put the cell in \
                         quotes"
                    .into(),
            })?;
        }
        rows.finish(sink)
    }
}

/// Knows whether a quote is open, in a table whose quotes are all in quoted cells.
struct Quoted<'a> {
    reader: &'a mut dyn BufRead,
    open: bool,
}

impl Read for Quoted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        for byte in &buffer[..count] {
            self.open ^= *byte == b'"';
        }
        Ok(count)
    }
}

/// Rows so far.
struct Rows<'a> {
    path: &'a Path,
    columns: usize,
    count: usize,
    malformed: usize,
    first: Option<Warning>,
}

impl<'a> Rows<'a> {
    const fn new(path: &'a Path, columns: usize) -> Self {
        Self {
            path,
            columns,
            count: 0,
            malformed: 0,
            first: None,
        }
    }

    fn visit(
        &mut self,
        line: usize,
        cells: Vec<&str>,
        sink: &mut dyn Sink,
        visit: Visit<'_>,
    ) -> Result<(), TaskError> {
        self.count += 1;
        if cells.len() != self.columns {
            self.malformed += 1;
            let reason = format!(
                "{} columns instead of {}; skipped",
                cells.len(),
                self.columns
            );
            let warning = Warning::at_line(self.path, line, reason);
            self.first.get_or_insert_with(|| warning.clone());
            sink.skip(line, warning);
            return Ok(());
        }
        let row = Row {
            path: self.path,
            line,
            index: self.count - self.malformed - 1,
            cells,
        };
        visit(&row, sink)
    }

    fn finish(self, sink: &mut dyn Sink) -> Result<(), TaskError> {
        if self.malformed > TOLERATED_ROWS
            && self.malformed * 100 > self.count * TOLERATED_PERCENT
            && let Some(first) = self.first
        {
            return sink.fault(TaskError::Malformed {
                path: self.path.to_owned(),
                malformed: self.malformed,
                rows: self.count,
                first,
            });
        }
        Ok(())
    }
}

/// Cells that begin and end with a quote, in a table in which quotes are text.
#[derive(Default)]
struct Quotes {
    cells: usize,
    quoted: usize,
    /// The line of the first quoted cell that has doubled quotes inside.
    doubled: Option<usize>,
    first: Option<usize>,
}

impl Quotes {
    fn look_at(&mut self, line: usize, cells: &[&str]) {
        self.cells += cells.len();
        for cell in cells {
            let inside = cell
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let Some(inside) = inside else { continue };
            self.quoted += 1;
            self.first.get_or_insert(line);
            if inside.contains("\"\"") {
                self.doubled.get_or_insert(line);
            }
        }
    }

    /// Quotes that programs write are a warning; others may be those of a quotation.
    fn tell(&self, path: &Path, sink: &mut dyn Sink) {
        let Some(first) = self.first else { return };
        let reason = format!(
            "{} cells begin and end with a quote, which is text here; if the table was written with quoting, write it \
             without",
            self.quoted
        );
        let line = self.doubled.unwrap_or(first);
        let told = Warning::at_line(path, line, reason);
        if self.doubled.is_some() || self.quoted == self.cells {
            sink.warn(line, told);
        } else {
            sink.note(line, told);
        }
    }
}

fn empty(path: &Path, expected: &str) -> TaskError {
    TaskError::Empty {
        path: path.to_owned(),
        expected: expected.to_owned(),
    }
}
