//! What can go wrong while weights are made.

use std::path::PathBuf;

use fpt_files::FileError;
use fpt_partial::PartialError;
use fpt_t5::T5Error;
use fpt_world::WorldError;

/// Why there are no pre-trained weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A configuration does not make sense, or a checkpoint belongs to another one.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, and the key.
        reason: String,
    },
    /// Another process is at work in the directory of the checkpoints.
    #[error("cannot use {} for checkpoints: {owner} is writing them; wait for its end, or choose another --state", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Who.
        owner: String,
    },
    /// Another process has taken the directory of the checkpoints over.
    #[error(
        "lost {} to {owner}, which took it over as nothing was heard of this process for long; nothing was overwritten",
        path.display()
    )]
    Lost {
        /// The directory.
        path: PathBuf,
        /// Who has it now.
        owner: String,
    },
    /// The run was told to stop. It goes on from its last checkpoint.
    #[error("stopped")]
    Stopped,
    /// Loss or weights became infinite or NaN.
    #[error(
        "training diverged at step {step}: the loss or a weight is infinite or NaN; lower the learning rates"
    )]
    Diverged {
        /// The step, from 1.
        step: usize,
    },
    /// The mini-world's tokenizer failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A document can't be tokenised.
    #[error("tokenizer: {0}")]
    Tokenize(String),
    /// The weights can't be written.
    #[error(transparent)]
    Model(#[from] T5Error),
    /// A part of the model can't be left out.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// Training failed.
    #[error("pre-training: {0}")]
    Train(String),
}
