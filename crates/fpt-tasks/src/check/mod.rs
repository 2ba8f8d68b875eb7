//! What a file of a task holds and everything that is wrong with it.

mod collect;
mod lengths;
mod report;

use std::fmt;
use std::io::BufRead;
use std::path::Path;

use collect::ReportSink;
pub use lengths::{Distribution, TextLengths};
pub use report::{Duplicates, Problem, Report, Severity};

use crate::files::{open, scan_whole};
use crate::{PAPER_SOURCE_LENGTH, Task, TaskError};

/// Counts the tokens of a text, `</s>` included, or says why it can't.
pub type CountTokens<'a> = &'a dyn Fn(&str) -> Result<usize, String>;

/// What [`check`] does beside reading.
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// For lengths in tokens.
    pub tokens: Option<CountTokens<'a>>,
    /// Tokens that sources are cut to, the paper's by default.
    pub max_source: usize,
    /// How many problems are kept in full; all of them are counted. No limit by default.
    pub max_problems: usize,
}

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self {
            tokens: None,
            max_source: PAPER_SOURCE_LENGTH,
            max_problems: usize::MAX,
        }
    }
}

impl fmt::Debug for CheckOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckOptions")
            .field("tokens", &self.tokens.is_some())
            .field("max_source", &self.max_source)
            .field("max_problems", &self.max_problems)
            .finish()
    }
}

/// Reads a file as [`Task::read`] does, but goes on after an error wherever the
/// format allows: after a bad row of a table, line of JSON, or part of SQuAD's document. Broken JSON
/// of SQuAD, damaged Parquet and a missing column end the reading; they are in the report too.
///
/// # Errors
/// When the file can't be read at all, or is Parquet and this build has not the feature.
pub fn check(
    task: &dyn Task,
    path: &Path,
    options: &CheckOptions<'_>,
) -> Result<Report, TaskError> {
    check_from(task, &mut open(path)?, path, options)
}

/// [`check`] of what `reader` gives; `path` is for messages, and its extension tells the format as
/// for [`Task::read_from`].
///
/// # Errors
/// As [`check`].
pub fn check_from(
    task: &dyn Task,
    reader: &mut dyn BufRead,
    path: &Path,
    options: &CheckOptions<'_>,
) -> Result<Report, TaskError> {
    let mut sink = ReportSink::new(task, path, options);
    match scan_whole(task, reader, path, &mut sink) {
        Ok(()) => {}
        Err(error @ (TaskError::Io { .. } | TaskError::NoParquet { .. })) => return Err(error),
        Err(error) => sink.error(error),
    }
    Ok(sink.finish())
}
