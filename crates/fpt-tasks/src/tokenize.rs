//! Examples to token ids.

use rayon::prelude::*;
use thiserror::Error;

use crate::Example;

/// The paper's limit on the source, in tokens: 512 less a prompt of 20.
pub const PAPER_SOURCE_LENGTH: usize = 492;

/// Precedes every target, as in T5's pre-training: the authors' format.
pub const SENTINEL: &str = "<extra_id_0>";

/// The most tokens, `</s>` included. At least 1 each; 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// For sources.
    pub max_source: usize,
    /// For targets, the sentinel included.
    pub max_target: usize,
}

/// The token ids of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedExample {
    /// For the encoder, ending in `</s>`.
    pub source: Vec<u32>,
    /// For the decoder to generate: sentinel, target, `</s>`. Empty where the target is hidden.
    pub target: Vec<u32>,
}

/// An example that the tokenizer refused.
#[derive(Debug, Error)]
#[error("cannot tokenize example `{id}`: {source}")]
pub struct TokenizeError<E: std::error::Error + 'static> {
    /// The example's id.
    pub id: String,
    /// What the tokenizer says.
    pub source: E,
}

/// Tokenizes examples in parallel, keeping their order. `encode` appends `</s>`; texts that are too
/// long are cut before it.
///
/// # Errors
/// The first example that `encode` refuses.
pub fn tokenize<E>(
    examples: &[Example],
    encode: impl Fn(&str) -> Result<Vec<u32>, E> + Sync,
    limits: Lengths,
) -> Result<Vec<TokenizedExample>, TokenizeError<E>>
where
    E: std::error::Error + Send + 'static,
{
    let one = |example: &Example| -> Result<TokenizedExample, E> {
        let target = match &example.target {
            Some(target) => encode(&format!("{SENTINEL}{target}"))?,
            None => Vec::new(),
        };
        Ok(TokenizedExample {
            source: cut(encode(&example.source)?, limits.max_source),
            target: cut(target, limits.max_target),
        })
    };
    // Collected before the search for errors, so that the first one is always the same.
    let results: Vec<_> = examples.par_iter().map(one).collect();
    let pairs = results.into_iter().zip(examples);
    pairs
        .map(|(result, example)| {
            result.map_err(|source| TokenizeError {
                id: example.id.clone(),
                source,
            })
        })
        .collect()
}

/// Cuts to `max` tokens (0 counts as 1), the last of which stays the last.
pub fn cut(mut ids: Vec<u32>, max: usize) -> Vec<u32> {
    let max = max.max(1);
    if ids.len() > max {
        ids.drain(max - 1..ids.len() - 1);
    }
    ids
}
