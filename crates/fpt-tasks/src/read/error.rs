//! Why a file could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Warning;
use crate::{Split, TaskName};

/// Why a file could not be read. Messages name the file and, where there is one, the line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The file is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is elsewhere.
    #[error(
        "{} is a pointer of Git LFS, not the file itself; get that with `git lfs pull` in its repository, or download it",
        path.display()
    )]
    LfsPointer {
        /// The pointer.
        path: PathBuf,
    },
    /// The file is not UTF-8 text.
    #[error("{}:{line}: invalid UTF-8; convert the file to UTF-8", path.display())]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The file has no examples.
    #[error("{}: no examples; expected {expected}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The format in a few words.
        expected: String,
    },
    /// The extension is none that is known.
    #[error("{}: the extension says no format; rename the file to .csv, .tsv, .jsonl, .json or .parquet", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The task has no such split.
    #[error(
        "the task {task} has no {split} split; name a file for it, or set a part aside with `holdout`"
    )]
    NoSplit {
        /// The task.
        task: TaskName,
        /// The split.
        split: Split,
    },
    /// Nothing to train on, or to choose the best prompt on.
    #[error("{}: no row has a target, which is made of {columns}", path.display())]
    NoTarget {
        /// The file.
        path: PathBuf,
        /// The columns of the target.
        columns: String,
    },
    /// The header line lacks a column.
    #[error("{}:1: no column `{column}` in the header ({found}); is this the task's own file?", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The missing column.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// The template of a table's sources names a column that the table does not declare.
    #[error("the source template `{template}` {reason}")]
    Template {
        /// The template.
        template: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row has the right shape but a value that makes no sense.
    #[error("{}:{line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// Too many rows have the wrong number of columns to be accidents.
    #[error("{}: {malformed} of {rows} rows are malformed, so this is not such a file; the first: {first}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How many rows are malformed.
        malformed: usize,
        /// How many rows there are.
        rows: usize,
        /// The first malformed row.
        first: Warning,
    },
    /// Broken JSON, or a field that is missing or of the wrong type.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// An example of a training or dev file has no label.
    #[error("{}: example `{id}` has no label or answer; only a test file may hide them", path.display())]
    Unlabelled {
        /// The file.
        path: PathBuf,
        /// The first such example.
        id: String,
    },
    /// A Parquet file is damaged, or holds something else than text columns.
    #[error("{}: {place}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The part of the file: `metadata`, a row group and its column, or a row.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A Parquet file, but this build has not the feature `parquet`.
    #[error("{}: this build reads no parquet; build with --features parquet, or convert to tsv/jsonl", path.display())]
    NoParquet {
        /// The file.
        path: PathBuf,
    },
}
