//! Tab-separated tables as GLUE has them: no quoting, so `"` is an ordinary character.

use std::{path::Path, sync::Arc};

use super::{Lines, TaskError, Warning, Warnings};
use crate::example::{Dataset, Example, Gold};

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
    pub(crate) fn read(lines: &mut Lines<'_>, expected: &'static str) -> Result<Self, TaskError> {
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

    pub(crate) fn require(&self, path: &Path, column: &'static str) -> Result<usize, TaskError> {
        self.find(column).ok_or_else(|| TaskError::Column {
            path: path.to_owned(),
            column,
            found: self.columns.join(", "),
        })
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
    /// A warning about this row.
    pub(crate) fn warning(&self, reason: impl Into<String>) -> Warning {
        Warning::at_line(self.path, self.line, reason)
    }

    /// An error about this row.
    pub(crate) fn error(&self, reason: impl Into<String>) -> TaskError {
        TaskError::Row {
            path: self.path.to_owned(),
            line: self.line,
            reason: reason.into(),
        }
    }

    /// An example of this row with a single answer, or with a hidden one. The id is the cell of
    /// the column `id`, if there is one.
    pub(crate) fn example(
        &self,
        id: Option<usize>,
        source: String,
        target: Option<&str>,
    ) -> Example {
        let target = target.map(str::to_owned);
        Example {
            id: id.map_or_else(|| self.index.to_string(), |id| self.cells[id].to_owned()),
            source,
            gold: target
                .clone()
                .map_or(Gold::Hidden, |target| Gold::Answers(vec![target])),
            target,
            group: self.index,
            candidates: Arc::default(),
        }
    }
}

/// What [`read_rows`] makes of a row.
pub(crate) type Visit<'v> =
    &'v mut dyn FnMut(&Row<'_>, &mut Warnings) -> Result<Option<Example>, TaskError>;

/// Reads the remaining lines as rows of `columns` cells each. Rows of another width are skipped
/// with a warning, unless there are too many of them.
pub(crate) fn read_rows(
    mut lines: Lines<'_>,
    columns: usize,
    expected: &'static str,
    visit: Visit<'_>,
) -> Result<Dataset, TaskError> {
    let path = lines.path();
    let mut examples = Vec::new();
    let mut warnings = Warnings::default();
    let (mut rows, mut malformed, mut first) = (0, 0, None);
    while let Some((line, text)) = lines.next_line()? {
        rows += 1;
        let cells: Vec<_> = text.split('\t').collect();
        if cells.len() != columns {
            malformed += 1;
            let reason = format!("{} columns instead of {columns}; skipped", cells.len());
            let warning = Warning::at_line(path, line, reason);
            first.get_or_insert_with(|| warning.clone());
            warnings.push(warning);
            continue;
        }
        let row = Row {
            path,
            line,
            index: rows - malformed - 1,
            cells,
        };
        examples.extend(visit(&row, &mut warnings)?);
    }
    if malformed > TOLERATED_ROWS
        && malformed * 100 > rows * TOLERATED_PERCENT
        && let Some(first) = first
    {
        return Err(TaskError::Malformed {
            path: path.to_owned(),
            malformed,
            rows,
            first,
        });
    }
    if examples.is_empty() {
        return Err(empty(path, expected));
    }
    Ok(Dataset { examples, warnings })
}

fn empty(path: &Path, expected: &'static str) -> TaskError {
    TaskError::Empty {
        path: path.to_owned(),
        expected,
    }
}
