//! Loss and gradients of a batch, a shard of it on each worker.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use fpt_partial::{Selection, partial};
use fpt_t5::{Lm, NoTaps, T5};
use fpt_tasks::{PadTo, TokenBatch, TokenizedExample};
use fpt_train::batch_tensors;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::PretrainError;

/// Computes the shards of a batch.
pub(crate) struct Workers {
    /// Pools of one thread: the tensors here are too small to be worth splitting any further.
    pools: Vec<ThreadPool>,
    device: Device,
}

impl Workers {
    /// One worker for each shard; batches are made on `device`.
    pub(crate) fn new(shards: usize, device: &Device) -> Result<Self, PretrainError> {
        let pools = (0..shards)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PretrainError::Train(error.to_string()))?;
        Ok(Self {
            pools,
            device: device.clone(),
        })
    }

    /// Mean loss and summed gradients of a batch, the shards added up in order; each computed by what is `kept` of the
    /// model for it.
    pub(crate) fn loss_and_gradients(
        &self,
        model: &T5,
        kept: &[Option<Selection>],
        batch: &[TokenizedExample],
    ) -> Result<(f64, GradientsParams), PretrainError> {
        let parts: Result<Vec<(f64, GradientsParams)>, PretrainError> =
            std::thread::scope(|scope| {
                let threads: Vec<_> = self
                    .pools
                    .iter()
                    .zip(kept)
                    .enumerate()
                    .map(|(shard, (pool, kept))| {
                        let model = model.clone().fork(&self.device.clone().autodiff());
                        scope.spawn(move || {
                            pool.install(|| {
                                let reduced = match kept {
                                    Some(kept) => partial(&model, kept)?,
                                    None => model.clone(),
                                };
                                let loss = self.shard_loss(&reduced, batch, shard);
                                let mut gradients = loss.backward();
                                let gradients =
                                    GradientsParams::from_module(&mut gradients, &model);
                                Ok((loss.into_scalar::<f64>(), gradients))
                            })
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| match thread.join() {
                        Ok(part) => part,
                        Err(panic) => std::panic::resume_unwind(panic),
                    })
                    .collect()
            });
        let mut sum = GradientsAccumulator::new();
        let mut total = 0.0;
        for (loss, gradients) in parts? {
            total += loss;
            sum.accumulate(model, gradients);
        }
        Ok((total, sum.grads()))
    }

    /// The shard's part of the batch's loss. Every shard has the weight of its examples, however long they are.
    fn shard_loss(&self, model: &T5, batch: &[TokenizedExample], shard: usize) -> Tensor<1> {
        // Every shards-th example, as the batch is sorted by length.
        let part: Vec<usize> = (shard..batch.len()).step_by(self.pools.len()).collect();
        let share = part.len() as f64 / batch.len() as f64;
        let part = TokenBatch::new(batch, part, PadTo::Multiple(1));
        let loss = model.loss(None, &batch_tensors(&part, &self.device), &mut NoTaps);
        loss.mean() * share
    }
}
