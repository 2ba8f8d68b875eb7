//! Tab-separated tables as GLUE has them: no quoting, so `"` is an ordinary character.

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
    /// Warns about this row.
    pub(crate) fn warn(&self, sink: &mut dyn Sink, reason: impl Into<String>) {
        sink.warn(self.line, Warning::at_line(self.path, self.line, reason));
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
/// with a warning, unless there are too many of them.
pub(crate) fn read_rows(
    mut lines: Lines<'_>,
    columns: usize,
    sink: &mut dyn Sink,
    visit: Visit<'_>,
) -> Result<(), TaskError> {
    let path = lines.path();
    let (mut rows, mut malformed, mut first) = (0, 0, None);
    while let Some((line, text)) = lines.next_valid(sink)? {
        rows += 1;
        let cells: Vec<_> = text.split('\t').collect();
        if cells.len() != columns {
            malformed += 1;
            let reason = format!("{} columns instead of {columns}; skipped", cells.len());
            let warning = Warning::at_line(path, line, reason);
            first.get_or_insert_with(|| warning.clone());
            sink.warn(line, warning);
            continue;
        }
        let row = Row {
            path,
            line,
            index: rows - malformed - 1,
            cells,
        };
        visit(&row, sink)?;
    }
    if malformed > TOLERATED_ROWS
        && malformed * 100 > rows * TOLERATED_PERCENT
        && let Some(first) = first
    {
        return sink.fault(TaskError::Malformed {
            path: path.to_owned(),
            malformed,
            rows,
            first,
        });
    }
    Ok(())
}

fn empty(path: &Path, expected: &str) -> TaskError {
    TaskError::Empty {
        path: path.to_owned(),
        expected: expected.to_owned(),
    }
}
