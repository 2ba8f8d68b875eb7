//! Batches for training.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{BatchError, BatchLimits};

/// How many batches are sorted by length together: enough for little padding, few enough to keep
/// batches random.
const POOL: usize = 16;

/// Separates this random stream from others of the same seed.
const STREAM: [u8; 16] = *b"fpt data order 1";

/// Shuffled batches of similar source length, as a pure function of seed and step: a resumed run
/// sees the very batches that it would have seen.
///
/// Every epoch shuffles the examples anew, sorts them by length within pools of 16 batches, cuts
/// the pools into batches and shuffles these. Where only examples are limited, the remainder that
/// does not fill a batch is left out of the epoch, and a set smaller than one batch is one batch;
/// where tokens are limited too, every example is in every epoch.
#[derive(Debug)]
pub struct TrainBatches {
    lengths: Vec<usize>,
    limits: BatchLimits,
    seed: u64,
    /// The epoch that was asked for last.
    epoch: Mutex<Epoch>,
}

/// The batches of an epoch.
#[derive(Debug)]
struct Epoch {
    number: usize,
    /// The step of its first batch.
    start: usize,
    plan: Vec<Vec<usize>>,
}

impl TrainBatches {
    /// Batches of examples of these source lengths.
    ///
    /// # Errors
    /// When there are no examples or a limit is 0.
    pub fn new(
        lengths: Vec<usize>,
        limits: impl Into<BatchLimits>,
        seed: u64,
    ) -> Result<Self, BatchError> {
        let limits = limits.into().check()?;
        if lengths.is_empty() {
            return Err(BatchError::NoExamples);
        }
        let limits = BatchLimits {
            examples: limits.examples.min(lengths.len()),
            ..limits
        };
        let first = Epoch {
            number: 0,
            start: 0,
            plan: plan(&lengths, limits, seed, 0),
        };
        Ok(Self {
            lengths,
            limits,
            seed,
            epoch: Mutex::new(first),
        })
    }

    /// The number of batches of an epoch, at least 1; where tokens are limited, of the one that was
    /// asked for last, since epochs differ.
    pub fn steps_per_epoch(&self) -> usize {
        self.lock().plan.len()
    }

    /// The indices of the examples of a step, counted from 0 over all epochs. Steps of the same
    /// epoch as the call before cost nothing.
    pub fn indices(&self, step: usize) -> Vec<usize> {
        let mut epoch = self.lock();
        if step < epoch.start {
            *epoch = self.epoch(0, 0);
        }
        while step - epoch.start >= epoch.plan.len() {
            *epoch = self.epoch(epoch.number + 1, epoch.start + epoch.plan.len());
        }
        epoch.plan[step - epoch.start].clone()
    }

    fn epoch(&self, number: usize, start: usize) -> Epoch {
        Epoch {
            number,
            start,
            plan: plan(&self.lengths, self.limits, self.seed, number),
        }
    }

    /// An epoch is replaced as a whole, so a panic elsewhere can't leave it half made.
    fn lock(&self) -> MutexGuard<'_, Epoch> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plan(lengths: &[usize], limits: BatchLimits, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    key[16..].copy_from_slice(&STREAM);
    let mut rng = ChaCha8Rng::from_seed(key);

    let mut order: Vec<_> = (0..lengths.len()).collect();
    order.shuffle(&mut rng);
    if limits.tokens.is_none() {
        order.truncate(lengths.len() / limits.examples * limits.examples);
    }
    let mut plan = Vec::new();
    for pool in order.chunks_mut(POOL.saturating_mul(limits.examples)) {
        pool.sort_by_key(|&i| lengths[i]);
        plan.extend(limits.cut(pool, lengths));
    }
    plan.shuffle(&mut rng);
    plan
}
