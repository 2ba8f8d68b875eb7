//! What can go wrong while data are made.

use fpt_files::FileError;
use fpt_tasks::TaskName;

/// Why data can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// A file can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The world has too few different examples of a task for what was asked.
    #[error("the world has no more different {task} examples after {found}; ask for fewer")]
    Exhausted {
        /// The task.
        task: TaskName,
        /// How many were found.
        found: usize,
    },
    /// The tokenizer failed.
    #[error("tokenizer: {0}")]
    Tokenize(String),
}
