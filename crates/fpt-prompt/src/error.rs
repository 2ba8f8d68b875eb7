//! What can go wrong with a prompt or its files.

use std::path::PathBuf;

use fpt_files::FileError;

/// Why a prompt can't be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no prompt-tuning adapter that fits.
    #[error("{}: not a usable prompt-tuning adapter: {reason}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file is no prompt of google-research/prompt-tuning that fits.
    #[error("{}: not a usable prompt of google-research/prompt-tuning: {reason}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A prompt has a number that no model can compute with.
    #[error(
        "{}: vector {row} of {what} has a number that is NaN or infinite (or too large for f32): training diverged, or \
         the file is damaged; take another prompt",
        path.display()
    )]
    NotFinite {
        /// The file; of a prompt that is not written, the directory that it is not written to.
        path: PathBuf,
        /// The tensor, or `the prompt`.
        what: String,
        /// The first vector that has one, from 1.
        row: usize,
    },
    /// A file that holds no prompt by its name.
    #[error(
        "{}: not a prompt: expected the directory of a PEFT adapter (not a file in it), or a .npy file",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The prompt can't be initialised as asked.
    #[error("cannot initialise the prompt: {0}")]
    Init(String),
    /// Two prompts can't be compared.
    #[error("these prompts can't be compared: {0}")]
    Incomparable(String),
}

/// Damaged files that `fpt-files` reads are safetensors of an adapter.
impl From<FileError> for PromptError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } => Self::Read { path, source },
            FileError::Write { path, source } => Self::Write { path, source },
            FileError::Damaged { path, reason } => Self::Adapter {
                path,
                reason: format!("not a complete safetensors file: {reason}"),
            },
        }
    }
}
