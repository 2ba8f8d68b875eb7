//! Batches of corpus examples. Every pool has a random stream of its own, so any batch can be made from
//! its number alone: resuming needs no replay.

use fpt_tasks::TokenizedExample;
use fpt_world::{Corpus, Difficulty, Seq2Seq};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tokenizers::Tokenizer;

use crate::stream::stream;
use crate::{PretrainConfig, PretrainError};

/// Token ids of `example`, source and target both ended by `</s>`.
pub(crate) fn encode(
    example: &Seq2Seq,
    tokenizer: &Tokenizer,
) -> Result<TokenizedExample, PretrainError> {
    let ids = |text: &str| {
        tokenizer
            .encode_fast(text, true)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| PretrainError::Tokenize(error.to_string()))
    };
    Ok(TokenizedExample {
        source: ids(&example.source)?,
        target: ids(&example.target)?,
    })
}

/// The training batches of a run.
pub(crate) struct Batches<'a> {
    config: &'a PretrainConfig,
    tokenizer: &'a Tokenizer,
    pool: Option<(usize, Vec<Vec<TokenizedExample>>)>,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(config: &'a PretrainConfig, tokenizer: &'a Tokenizer) -> Self {
        Self {
            config,
            tokenizer,
            pool: None,
        }
    }

    /// The batch of `step`.
    pub(crate) fn at(&mut self, step: usize) -> Result<&[TokenizedExample], PretrainError> {
        let number = step / self.config.pool;
        let batches = match self.pool.take() {
            Some((have, batches)) if have == number => batches,
            _ => self.make(number)?,
        };
        let (_, batches) = self.pool.insert((number, batches));
        Ok(&batches[step % self.config.pool])
    }

    fn make(&self, number: usize) -> Result<Vec<Vec<TokenizedExample>>, PretrainError> {
        let first_step = number * self.config.pool;
        let difficulty = self
            .config
            .curriculum
            .at(first_step as f64 / self.config.steps as f64);
        let seed = stream(self.config.seed, number as u64);
        let mut examples = draw(
            seed,
            self.config.pool * self.config.batch_size,
            difficulty,
            self.tokenizer,
        )?;
        examples.sort_by_key(|example| (example.source.len(), example.target.len()));
        let mut batches: Vec<Vec<TokenizedExample>> = Vec::new();
        let mut rest = examples.into_iter();
        for _ in 0..self.config.pool {
            batches.push(rest.by_ref().take(self.config.batch_size).collect());
        }
        batches.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Ok(batches)
    }
}

fn draw(
    seed: u64,
    count: usize,
    difficulty: Difficulty,
    tokenizer: &Tokenizer,
) -> Result<Vec<TokenizedExample>, PretrainError> {
    let mut corpus = Corpus::new(seed);
    (0..count)
        .map(|_| encode(&corpus.training_example(difficulty), tokenizer))
        .collect()
}
