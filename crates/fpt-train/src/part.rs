//! A batch in parts, on one device or on several.

use std::thread;

use burn::tensor::{Device, Tensor, TensorData};
use fpt_t5::{Lm, MacCounter};
use fpt_tasks::TokenBatch;

use crate::{TrainError, batch_tensors};

/// What a part of a batch gives to the loss of the whole, on a device.
pub(crate) struct Part {
    /// Loss of its labels, over the number of labels of the whole batch, `[1]`.
    pub(crate) loss: Tensor<1>,
    /// Its gradient with respect to the prompt, `[n, d_model]`.
    pub(crate) gradient: Tensor<2>,
    /// Multiply-accumulates of its forward pass.
    pub(crate) macs: u64,
}

/// The same on the host.
struct Read {
    loss: f32,
    gradient: Vec<f32>,
    macs: u64,
}

impl Part {
    /// Forward and back to `prefix`, a leaf on the autodiff device of `device`; the whole batch has so many `labels`.
    pub(crate) fn new(
        model: &impl Lm,
        prefix: &Tensor<2>,
        batch: &TokenBatch,
        labels: usize,
        device: &Device,
    ) -> Self {
        let mut counter = MacCounter::default();
        let batch = batch_tensors(batch, device);
        let (loss, gradient) = model.loss_and_gradient(prefix, &batch, labels as f64, &mut counter);
        Self {
            loss,
            gradient,
            macs: counter.macs,
        }
    }

    /// What a batch without examples gives.
    pub(crate) fn nothing(prefix: &Tensor<2>) -> Self {
        let gradient = prefix.clone().inner().zeros_like();
        Self {
            loss: gradient.clone().sum(),
            gradient,
            macs: 0,
        }
    }

    /// Both together.
    pub(crate) fn plus(self, next: Self) -> Self {
        Self {
            loss: self.loss + next.loss,
            gradient: self.gradient + next.gradient,
            macs: self.macs + next.macs,
        }
    }

    fn read(self) -> Result<Read, TrainError> {
        let loss = self.loss.try_into_data().map_err(TrainError::device)?;
        let gradient = self.gradient.try_into_data().map_err(TrainError::device)?;
        Ok(Read {
            loss: loss.iter::<f32>().sum(),
            gradient: gradient.iter().collect(),
            macs: self.macs,
        })
    }
}

impl Read {
    /// Both together, as a device adds them.
    fn plus(mut self, next: Self) -> Self {
        self.loss += next.loss;
        for (sum, next) in self.gradient.iter_mut().zip(next.gradient) {
            *sum += next;
        }
        self.macs += next.macs;
        self
    }

    fn on(self, device: &Device, shape: [usize; 2]) -> Part {
        Part {
            loss: Tensor::from_data([self.loss], device),
            gradient: Tensor::from_data(TensorData::new(self.gradient, shape), device),
            macs: self.macs,
        }
    }
}

/// The sum of `parts`, each computed by one of `models` on its device, all at work at once; on the device of `prefix`.
/// They are shared out and added up in their order, on the host. `None` if there are none.
pub(crate) fn on_devices<M: Lm + Sync>(
    models: &[&M],
    prefix: &Tensor<2>,
    parts: &[TokenBatch],
    labels: usize,
) -> Result<Option<Part>, TrainError> {
    let values = prefix.clone().inner();
    let (device, shape) = (values.device(), values.dims());
    let values = values.try_into_data().map_err(TrainError::device)?;
    let share = parts.len().div_ceil(models.len().max(1)).max(1);
    let shares = parts.chunks(share);
    let read: Vec<_> = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(models.len());
        for (model, parts) in models.iter().copied().zip(shares) {
            let values = values.clone();
            threads.push(scope.spawn(move || read_share(model, values, parts, labels)));
        }
        let threads = threads.into_iter().map(thread::ScopedJoinHandle::join);
        let outcome = |joined: thread::Result<_>| {
            joined.unwrap_or_else(|panic| Err(TrainError::of_panic(&*panic)))
        };
        threads.map(outcome).collect()
    });
    let mut sum: Option<Read> = None;
    for share in read {
        for part in share? {
            sum = Some(match sum {
                Some(sum) => sum.plus(part),
                None => part,
            });
        }
    }
    Ok(sum.map(|sum| sum.on(&device, shape)))
}

/// What one device does: all that it can before its numbers are read.
fn read_share(
    model: &impl Lm,
    prefix: TensorData,
    parts: &[TokenBatch],
    labels: usize,
) -> Result<Vec<Read>, TrainError> {
    let device = model.device();
    let prefix = Tensor::<2>::from_data(prefix, &device.clone().autodiff()).require_grad();
    let part = |batch| Part::new(model, &prefix, batch, labels, &device);
    let parts: Vec<Part> = parts.iter().map(part).collect();
    parts.into_iter().map(Part::read).collect()
}
