//! Batches of similar length, padded no further than needed.

mod eval;
mod limits;
mod padded;
mod train;

pub use eval::EvalBatches;
pub use limits::BatchLimits;
pub use padded::{IGNORED_LABEL, PAD_ID, PadTo, TokenBatch};
use thiserror::Error;
pub use train::TrainBatches;

/// Why batches can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A batch needs at least one example.
    #[error("a batch may hold nothing: set its limits of examples and of tokens to at least 1")]
    ZeroSize,
    /// There is nothing to train on.
    #[error("no examples to make training batches of")]
    NoExamples,
}
