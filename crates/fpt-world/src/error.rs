use std::path::{Path, PathBuf};

use fpt_files::FileError;

/// What can go wrong while making data or weights.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A configuration does not make sense.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
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
    /// Training failed.
    #[error("pre-training: {0}")]
    Train(String),
}

impl WorldError {
    #[cfg(feature = "pretrain")]
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Write { path, source }
    }
}

impl From<FileError> for WorldError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } => Self::Read { path, source },
            FileError::Write { path, source } => Self::Write { path, source },
            FileError::Damaged { path, reason } => Self::Config { path, reason },
        }
    }
}
