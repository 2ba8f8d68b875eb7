//! The largest numbers that a run may be given: far more than any run needs, and few enough for all that is counted with
//! them. A larger one is a slip.

/// Tokens of a source or a target, and vectors of a prompt. Memory of attentions grows with the square of it.
pub const MOST_TOKENS: usize = 1 << 16;

/// What lengths are rounded up to a multiple of. More than that, and short texts would be padding for the most part.
pub(super) const MOST_MULTIPLE: usize = 1 << 10;

/// Examples of a batch.
pub const MOST_EXAMPLES: usize = 1_000_000;

/// Prompts of a mean.
pub(super) const MOST_AVERAGED: usize = 100;

/// Optimizer steps of a run.
pub const MOST_STEPS: usize = 10_000_000;
