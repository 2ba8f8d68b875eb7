//! What can go wrong while weights are made.

use std::path::{Path, PathBuf};

use burn::store::RecordError;
use fpt_files::FileError;
use fpt_t5::T5Error;
use fpt_world::WorldError;

/// Why there are no pre-trained weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
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
    /// A configuration does not make sense, or a state belongs to another one.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the key.
        reason: String,
    },
    /// The state for resuming can't be read or written.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RecordError,
    },
    /// The mini-world's tokenizer failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A document can't be tokenised.
    #[error("tokenizer: {0}")]
    Tokenize(String),
    /// The weights can't be written.
    #[error("pre-training: {0}")]
    Model(#[from] T5Error),
    /// Training failed.
    #[error("pre-training: {0}")]
    Train(String),
}

impl PretrainError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Write { path, source }
    }

    pub(crate) fn state(path: &Path) -> impl FnOnce(RecordError) -> Self {
        let path = path.to_path_buf();
        |source| Self::State { path, source }
    }
}

impl From<FileError> for PretrainError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } => Self::Read { path, source },
            FileError::Write { path, source } => Self::Write { path, source },
            FileError::Damaged { path, reason } => Self::Config { path, reason },
        }
    }
}
