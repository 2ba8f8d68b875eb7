use burn::optim::GradientsParams;
use burn::tensor::Device;
use fpt_prompt::SoftPrompt;
use fpt_t5::{KvCache, MacCounter, T5, cross_entropy, prepend_visible};
use fpt_tasks::TokenBatch;

use crate::batch_tensors;

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
    pub fn new(model: &T5, prompt: &SoftPrompt, batch: &TokenBatch, device: &Device) -> Self {
        let (source, mask, labels) = batch_tensors(batch, device);
        let [length, _] = prompt.shape();
        let mut counter = MacCounter::default();
        let encoded = model.encode_tapped(
            prompt.prepend(model.embed(source)),
            prepend_visible(mask, length),
            &mut counter,
        );
        let inputs = model.shift_right(labels.clone());
        let logits = model.decode_tapped(inputs, &encoded, &mut KvCache::new(), &mut counter);
        let loss = cross_entropy(logits, labels);
        let mut gradients = loss.backward();
        let gradients = GradientsParams::from_module(&mut gradients, prompt);
        Self {
            loss: loss.into_scalar::<f64>(),
            gradient_norm: gradient_norm(prompt, &gradients),
            gradients,
            forward_macs: counter.macs,
        }
    }
}

fn gradient_norm(prompt: &SoftPrompt, gradients: &GradientsParams) -> f64 {
    match gradients.get::<2>(prompt.weight.id) {
        Some(gradient) => gradient.square().sum().sqrt().into_scalar::<f64>(),
        None => 0.0,
    }
}
