//! What can go wrong while data are made.

use std::path::{Path, PathBuf};

/// Why data can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// A file can't be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The world has too few different examples of a task for what was asked.
    #[error("the world has no more different {task} examples after {found}; ask for fewer")]
    Exhausted {
        /// The task.
        task: &'static str,
        /// How many were found.
        found: usize,
    },
    /// The tokenizer failed.
    #[error("tokenizer: {0}")]
    Tokenize(String),
}

impl WorldError {
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Write { path, source }
    }
}
