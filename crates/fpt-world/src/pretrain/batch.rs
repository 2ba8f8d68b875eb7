//! Batches of corpus examples. Every pool has a random stream of its own, so any batch can be made from
//! its number alone: resuming needs no replay.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_t5::IGNORED_LABEL;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tokenizers::Tokenizer;

use super::PretrainConfig;
use crate::{Corpus, Difficulty, Seq2Seq, WorldError};

/// Token ids of one example, both ended by `</s>`.
pub(super) struct Encoded {
    pub source: Vec<u32>,
    pub target: Vec<u32>,
}

impl Encoded {
    pub(super) fn new(example: &Seq2Seq, tokenizer: &Tokenizer) -> Result<Self, WorldError> {
        let encode = |text: &str| {
            tokenizer
                .encode_fast(text, true)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| WorldError::Tokenize(error.to_string()))
        };
        Ok(Self {
            source: encode(&example.source)?,
            target: encode(&example.target)?,
        })
    }
}

/// Tensors of some examples.
pub(super) struct TensorBatch {
    /// `[batch, source length]`.
    pub source: Tensor<2, Int>,
    /// `[batch, source length]`, 1 = real.
    pub mask: Tensor<2>,
    /// `[batch, target length]`, padding is ignored by the loss.
    pub labels: Tensor<2, Int>,
}

impl TensorBatch {
    pub(super) fn new(examples: &[&Encoded], device: &Device) -> Self {
        let batch = examples.len();
        let longest =
            |length: fn(&Encoded) -> usize| examples.iter().map(|e| length(e)).max().unwrap_or(0);
        let (source_length, target_length) =
            (longest(|e| e.source.len()), longest(|e| e.target.len()));
        let (mut source, mut mask, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for example in examples {
            let padding = source_length - example.source.len();
            source.extend(example.source.iter().map(|&id| id as i32));
            source.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1.0f32, example.source.len()));
            mask.extend(std::iter::repeat_n(0.0f32, padding));
            labels.extend(example.target.iter().map(|&id| id as i32));
            let padding = target_length - example.target.len();
            labels.extend(std::iter::repeat_n(IGNORED_LABEL, padding));
        }
        Self {
            source: Tensor::from_data(TensorData::new(source, [batch, source_length]), device),
            mask: Tensor::from_data(TensorData::new(mask, [batch, source_length]), device),
            labels: Tensor::from_data(TensorData::new(labels, [batch, target_length]), device),
        }
    }
}

/// The training batches of a run.
pub(super) struct Batches<'a> {
    config: &'a PretrainConfig,
    tokenizer: &'a Tokenizer,
    pool: Option<(usize, Vec<Vec<Encoded>>)>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(config: &'a PretrainConfig, tokenizer: &'a Tokenizer) -> Self {
        Self {
            config,
            tokenizer,
            pool: None,
        }
    }

    /// The batch of `step`.
    pub(super) fn at(&mut self, step: usize) -> Result<&[Encoded], WorldError> {
        let number = step / self.config.pool;
        let batches = match self.pool.take() {
            Some((have, batches)) if have == number => batches,
            _ => self.make(number)?,
        };
        let (_, batches) = self.pool.insert((number, batches));
        Ok(&batches[step % self.config.pool])
    }

    fn make(&self, number: usize) -> Result<Vec<Vec<Encoded>>, WorldError> {
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
        let mut batches: Vec<Vec<Encoded>> = Vec::with_capacity(self.config.pool);
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
) -> Result<Vec<Encoded>, WorldError> {
    let mut corpus = Corpus::new(seed);
    (0..count)
        .map(|_| Encoded::new(&corpus.training_example(difficulty), tokenizer))
        .collect()
}

/// A seed of its own for each numbered part of a run (the finaliser of SplitMix64).
pub(super) fn stream(seed: u64, number: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(number.wrapping_add(1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
