//! Batches for training.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::BatchError;

/// How many batches are sorted by length together: enough for little padding, few enough to keep
/// batches random.
const POOL: usize = 16;

/// Separates this random stream from others of the same seed.
const STREAM: [u8; 16] = *b"fpt data order 1";

/// Shuffled batches of similar source length, as a pure function of seed and step: a resumed run
/// sees the very batches that it would have seen.
///
/// Every epoch shuffles the examples anew, sorts them by length within pools of 16 batches, cuts
/// the pools into batches and shuffles these. The remainder that does not fill a batch is left out
/// of the epoch; a set smaller than one batch is one batch.
#[derive(Debug)]
pub struct TrainBatches {
    lengths: Vec<usize>,
    batch_size: usize,
    seed: u64,
    /// The plan of the epoch that was asked for last.
    plan: Mutex<Option<(usize, Arc<Plan>)>>,
}

type Plan = Vec<Vec<usize>>;

impl TrainBatches {
    /// Batches of examples of these source lengths.
    ///
    /// # Errors
    /// When there are no examples or the batch size is 0.
    pub fn new(lengths: Vec<usize>, batch_size: usize, seed: u64) -> Result<Self, BatchError> {
        if batch_size == 0 {
            return Err(BatchError::ZeroSize);
        }
        if lengths.is_empty() {
            return Err(BatchError::NoExamples);
        }
        Ok(Self {
            batch_size: batch_size.min(lengths.len()),
            lengths,
            seed,
            plan: Mutex::new(None),
        })
    }

    /// The number of batches of an epoch, at least 1.
    pub fn steps_per_epoch(&self) -> usize {
        self.lengths.len() / self.batch_size
    }

    /// The indices of the examples of a step, counted from 0 over all epochs. Steps of the same
    /// epoch as the call before cost nothing.
    pub fn indices(&self, step: usize) -> Vec<usize> {
        let (epoch, position) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        self.plan(epoch)[position].clone()
    }

    fn plan(&self, epoch: usize) -> Arc<Plan> {
        // The plan is replaced as a whole, so a panic elsewhere can't leave it half made.
        let mut cached = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((cached_epoch, plan)) if *cached_epoch == epoch => Arc::clone(plan),
            _ => {
                let plan = Arc::new(self.make_plan(epoch));
                *cached = Some((epoch, Arc::clone(&plan)));
                plan
            }
        }
    }

    fn make_plan(&self, epoch: usize) -> Plan {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
        key[16..].copy_from_slice(&STREAM);
        let mut rng = ChaCha8Rng::from_seed(key);

        let mut order: Vec<_> = (0..self.lengths.len()).collect();
        order.shuffle(&mut rng);
        order.truncate(self.steps_per_epoch() * self.batch_size);
        let mut plan = Vec::with_capacity(self.steps_per_epoch());
        for pool in order.chunks_mut(POOL * self.batch_size) {
            pool.sort_by_key(|&i| self.lengths[i]);
            plan.extend(pool.chunks(self.batch_size).map(<[usize]>::to_vec));
        }
        plan.shuffle(&mut rng);
        plan
    }
}
