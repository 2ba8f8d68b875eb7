//! One training step, up to where the optimizer moves the prompt.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use fpt_prompt::SoftPrompt;
use fpt_t5::{Lm, MacCounter};
use fpt_tasks::TokenBatch;

use crate::{TrainError, batch_tensors};

/// What a training step computes before the optimizer moves the prompt.
pub struct Step {
    /// Teacher-forced mean loss of the batch's target tokens.
    pub loss: f64,
    /// Norm of the gradient with respect to the prompt.
    pub gradient_norm: f64,
    /// The gradient with respect to the prompt.
    pub gradients: GradientsParams,
    /// Multiply-accumulates of the forward pass.
    pub forward_macs: u64,
}

impl Step {
    /// Forward through a frozen `model` and back to `prompt`, which lies on the autodiff device of `device`.
    pub fn new(model: &impl Lm, prompt: &SoftPrompt, batch: &TokenBatch, device: &Device) -> Self {
        let mut counter = MacCounter::default();
        let prefix = Some(prompt.weight.val());
        let batch = batch_tensors(batch, device);
        let loss = model.loss(prefix, &batch, &mut counter).mean();
        let mut gradients = loss.backward();
        let gradients = GradientsParams::from_module(&mut gradients, prompt);
        let [loss, gradient_norm] = scalars(loss.inner(), prompt, &gradients);
        Self {
            loss,
            gradient_norm,
            gradients,
            forward_macs: counter.macs,
        }
    }

    /// Refuse a step that would spoil the prompt; `number` is counted from 1.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if the loss or the gradient is infinite or NaN.
    pub(crate) fn judge(&self, number: usize) -> Result<(), TrainError> {
        for (what, value) in [
            ("loss", self.loss),
            ("norm of the gradient", self.gradient_norm),
        ] {
            if !value.is_finite() {
                return Err(TrainError::Diverged {
                    step: number,
                    what,
                    value,
                });
            }
        }
        Ok(())
    }
}

/// The loss and the norm of the gradient, brought to the host together: each transfer would wait for the device.
fn scalars(loss: Tensor<1>, prompt: &SoftPrompt, gradients: &GradientsParams) -> [f64; 2] {
    let norm = match gradients.get::<2>(prompt.weight.id) {
        Some(gradient) => gradient.square().sum().sqrt(),
        None => loss.zeros_like(),
    };
    let values = Tensor::cat(vec![loss, norm], 0).into_data();
    let mut values = values.iter::<f64>();
    [(); 2].map(|()| values.next().unwrap_or(f64::NAN))
}
