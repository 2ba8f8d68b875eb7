//! Readers of what is kept for other runs, as the targets of `fuzz/` call them.

use fpt_partial::Scores;
use fpt_t5::T5Config;
use fpt_tasks::TokenizedExample;

use super::{score_cache, token_cache};

/// The tokens of so many examples, with ids below `vocabulary`, in a file of the cache.
///
/// # Errors
/// What is wrong with the file.
pub fn tokens(
    bytes: &[u8],
    examples: usize,
    vocabulary: usize,
) -> Result<Vec<TokenizedExample>, String> {
    token_cache::read(bytes, examples, vocabulary)
}

/// The scores of the parts of a model in a file of the cache.
///
/// # Errors
/// What is wrong with the file.
pub fn scores(bytes: &[u8], config: &T5Config) -> Result<Scores, String> {
    score_cache::read(bytes, config)
}
