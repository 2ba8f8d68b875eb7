//! Rows that were skipped or odd, counted.

use std::fmt;
use std::path::Path;

/// Something odd in a file that does not stop its reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where: `file:line`, or the file and the id of a question.
    pub place: String,
    /// What is odd and what was done.
    pub reason: String,
}

/// How many warnings there are, and the first few of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings {
    count: usize,
    first: Vec<Warning>,
    skipped: Option<(usize, Warning)>,
}

impl Warnings {
    /// How many warnings are kept in full.
    pub const KEPT: usize = 5;

    /// How many warnings there were in all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first [`KEPT`](Self::KEPT) of them.
    pub fn first(&self) -> &[Warning] {
        &self.first
    }

    /// How many rows (of ReCoRD: queries) there are no examples of, and the first of them; `None` if there is an example of
    /// each.
    pub fn skipped(&self) -> Option<(usize, &Warning)> {
        let (count, first) = self.skipped.as_ref()?;
        Some((*count, first))
    }

    pub(crate) fn skip(&mut self, warning: Warning) {
        let (count, _) = self.skipped.get_or_insert_with(|| (0, warning.clone()));
        *count += 1;
        self.push(warning);
    }

    pub(crate) fn push(&mut self, warning: Warning) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(warning);
        }
    }
}

impl Warning {
    /// A warning about a line of a file.
    pub fn at_line(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self {
            place: format!("{}:{line}", path.display()),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl fmt::Display for Warnings {
    /// One line for each warning that was kept, then how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, warning) in self.first.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{warning}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}
