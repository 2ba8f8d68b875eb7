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

/// Texts that were longer than their limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// How many there were.
    pub texts: usize,
    /// Tokens of the longest.
    pub longest: usize,
}

/// What tokenizing cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Of the sources.
    pub sources: Cut,
    /// Of the targets.
    pub targets: Cut,
}

/// Examples as token ids, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokenized {
    /// The ids.
    pub examples: Vec<TokenizedExample>,
    /// What was cut of them.
    pub cuts: Cuts,
}

impl Cut {
    fn see(&mut self, length: usize, max: usize) {
        if length > max.max(1) {
            self.texts += 1;
            self.longest = self.longest.max(length);
        }
    }

    fn add(&mut self, other: Self) {
        self.texts += other.texts;
        self.longest = self.longest.max(other.longest);
    }

    /// `3 of 20 sources were cut to 492 tokens; the longest has 700`; `None` where none was.
    fn describe(&self, what: &str, of: usize, max: usize) -> Option<String> {
        let Self { texts, longest } = *self;
        (texts > 0).then(|| {
            format!("{texts} of {of} {what} were cut to {max} tokens; the longest has {longest}")
        })
    }
}

impl Cuts {
    /// A line for sources and one for targets, of so many examples, where any were cut.
    pub fn describe(&self, of: usize, limits: Lengths) -> Vec<String> {
        let sources = self.sources.describe("sources", of, limits.max_source);
        let targets = self.targets.describe("targets", of, limits.max_target);
        sources.into_iter().chain(targets).collect()
    }
}

impl Tokenized {
    /// Append what follows.
    pub fn extend(&mut self, more: Self) {
        self.examples.extend(more.examples);
        self.cuts.sources.add(more.cuts.sources);
        self.cuts.targets.add(more.cuts.targets);
    }
}

/// An example that the tokenizer refused.
#[derive(Debug, Error)]
#[error("cannot tokenize example `{id}`")]
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
) -> Result<Tokenized, TokenizeError<E>>
where
    E: std::error::Error + Send + 'static,
{
    // The ids, cut, and how many there were of the source and of the target.
    let one = |example: &Example| -> Result<(TokenizedExample, [usize; 2]), E> {
        let target = match &example.target {
            Some(target) => encode(&format!("{SENTINEL}{target}"))?,
            None => Vec::new(),
        };
        let source = encode(&example.source)?;
        let lengths = [source.len(), target.len()];
        let tokenized = TokenizedExample {
            source: cut(source, limits.max_source),
            target: cut(target, limits.max_target),
        };
        Ok((tokenized, lengths))
    };
    // Collected before the search for errors, so that the first one is always the same.
    let results: Vec<_> = examples.par_iter().map(one).collect();
    let mut cuts = Cuts::default();
    let pairs = results.into_iter().zip(examples);
    let tokenized = pairs.map(|(result, example)| {
        let (tokenized, [source, target]) = result.map_err(|source| TokenizeError {
            id: example.id.clone(),
            source,
        })?;
        cuts.sources.see(source, limits.max_source);
        cuts.targets.see(target, limits.max_target);
        Ok(tokenized)
    });
    Ok(Tokenized {
        examples: tokenized.collect::<Result<_, _>>()?,
        cuts,
    })
}

/// Cuts to `max` tokens (0 counts as 1), the last of which stays the last.
pub fn cut(mut ids: Vec<u32>, max: usize) -> Vec<u32> {
    let max = max.max(1);
    if ids.len() > max {
        ids.drain(max - 1..ids.len() - 1);
    }
    ids
}
