//! What can go wrong with a checkpoint or a tokenizer.

use std::path::PathBuf;

use fpt_files::FileError;

/// Why a checkpoint or a tokenizer can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum T5Error {
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
    /// `config.json` is not the configuration of a supported T5.
    #[error("{}: not a supported T5 configuration: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Key and problem.
        reason: String,
    },
    /// A directory holds no weights.
    #[error("no weights in {}: looked for {names}", directory.display())]
    NoWeights {
        /// The directory.
        directory: PathBuf,
        /// The files looked for.
        names: String,
    },
    /// A file is no complete file of weights.
    #[error("{}: not a complete file of weights: {reason} (was the download interrupted? fetch it again)", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A weight is no number that a model can compute with.
    #[error(
        "{}: {tensor} has a number that is NaN or infinite (or too large for f32): a model with it answers nonsense; take \
         other weights, from before their training diverged or before they were converted",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor, by its name in the file.
        tensor: String,
    },
    /// Tensors do not fit the configuration; every one of them is listed.
    #[error("{}: the tensors do not fit config.json\n{}", path.display(), problems.join("\n"))]
    Tensors {
        /// The file.
        path: PathBuf,
        /// One line a tensor.
        problems: Vec<String>,
    },
    /// The tokenizer's file is damaged or of another kind.
    #[error("{}: cannot be used as a tokenizer: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The device's default precision is not f32.
    #[error(
        "the device computes in {dtype}, but T5 needs f32: its activations exceed the largest f16 number (65504) and \
         become infinite. Leave the device at its default; weights stored as f16 or bf16 are read all the same"
    )]
    Precision {
        /// The device's default precision.
        dtype: String,
    },
    /// The device does not know a type of numbers.
    #[error(
        "{device} knows no {dtype}: compute in f32 there, or on another device (CUDA knows bf16, a processor takes it)"
    )]
    Unsupported {
        /// The device.
        device: String,
        /// The type.
        dtype: &'static str,
    },
    /// A model with weights in int8 is to be written.
    #[error(
        "a model with weights in int8 can't be saved, since no checkpoint has them as they are: load it in f32 or bf16 and \
         save that"
    )]
    Integers,
    /// A text can't be encoded or ids can't be decoded.
    #[error("cannot tokenize: {0}")]
    Tokenize(String),
}

/// Damaged files that `fpt-files` reads are files of weights.
impl From<FileError> for T5Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } => Self::Read { path, source },
            FileError::Write { path, source } => Self::Write { path, source },
            FileError::Damaged { path, reason } => Self::Weights { path, reason },
        }
    }
}
