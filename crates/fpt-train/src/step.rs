//! One training step, up to where the optimizer moves the prompt.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use fpt_prompt::SoftPrompt;
use fpt_t5::Lm;
use fpt_tasks::{IGNORED_LABEL, TokenBatch};

use crate::TrainError;
use crate::part::{Part, on_devices};

/// What a training step computes before the optimizer moves the prompt. Its numbers are still on the device: to read
/// them may wait for it.
pub struct Step {
    /// Teacher-forced mean loss of the batch's target tokens, and the norm of the gradient with respect to the prompt,
    /// `[2]`.
    pub values: Tensor<1>,
    /// The gradient with respect to the prompt.
    pub gradients: GradientsParams,
    /// Multiply-accumulates of the forward pass. What a backward pass computes again is not among them.
    pub forward_macs: u64,
}

impl Step {
    /// Forward through a frozen `model` and back to `prompt`, which lies on the autodiff device of `device`.
    pub fn new(model: &impl Lm, prompt: &SoftPrompt, batch: &TokenBatch, device: &Device) -> Self {
        let labels = count_labels(std::slice::from_ref(batch));
        let part = Part::new(model, &prompt.weight.val(), batch, labels, device);
        Self::whole(part, prompt)
    }

    /// The same for a batch in `parts`, whose gradients add up to that of the whole batch, in their order and in f32. They
    /// are shared out over `models`, replicas on one device each, all at work at once: how many there are changes no bit
    /// of the outcome. `prompt` lies on the autodiff device of the first.
    ///
    /// # Errors
    /// [`TrainError::Device`] if one of several devices fails. What one alone can't do shows when its numbers are read.
    pub fn of_parts<M: Lm + Sync>(
        models: &[&M],
        prompt: &SoftPrompt,
        parts: &[TokenBatch],
    ) -> Result<Self, TrainError> {
        let labels = count_labels(parts);
        let prefix = prompt.weight.val();
        let part = match models {
            [model] => {
                let device = model.device();
                let part = |batch| Part::new(*model, &prefix, batch, labels, &device);
                parts.iter().map(part).reduce(Part::plus)
            }
            _ => on_devices(models, &prefix, parts, labels)?,
        };
        let nothing = || Part::nothing(&prefix);
        Ok(Self::whole(part.unwrap_or_else(nothing), prompt))
    }

    fn whole(part: Part, prompt: &SoftPrompt) -> Self {
        let norm = part.gradient.clone().square().sum().sqrt();
        let mut gradients = GradientsParams::new();
        gradients.register(prompt.weight.id, part.gradient);
        Self {
            values: Tensor::cat(vec![part.loss, norm], 0),
            gradients,
            forward_macs: part.macs,
        }
    }

    /// Loss and norm of the gradient from the [`values`](Self::values) of a step, brought to the host.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device failed to compute them.
    pub fn read(values: Tensor<1>) -> Result<[f64; 2], TrainError> {
        let read = read_values(vec![values])?;
        Ok(read.first().copied().unwrap_or([f64::NAN; 2]))
    }
}

/// The [`Step::values`] of some steps, brought to the host together: each transfer would wait for the device.
pub(crate) fn read_values(values: Vec<Tensor<1>>) -> Result<Vec<[f64; 2]>, TrainError> {
    let data = Tensor::cat(values, 0)
        .try_into_data()
        .map_err(TrainError::device)?;
    let values: Vec<f64> = data.iter::<f64>().collect();
    Ok(values.as_chunks().0.to_vec())
}

/// How many labels of a batch in parts count, at least 1.
fn count_labels(parts: &[TokenBatch]) -> usize {
    let labels = parts.iter().flat_map(|part| &part.labels);
    labels
        .filter(|&&label| label != IGNORED_LABEL)
        .count()
        .max(1)
}
