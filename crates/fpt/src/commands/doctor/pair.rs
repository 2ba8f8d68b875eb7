//! The same small model on the processor and on the device that is examined.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_partial::{Selection, partial};
use fpt_prompt::SoftPrompt;
use fpt_t5::{Lm, LmBatch, NoTaps, T5, T5Config};
use fpt_tasks::TokenBatch;
use fpt_train::{Step, batch_tensors};
use serde_json::json;

use crate::commands::synthetic::{self, Draw, PrecisionName};

const SEED: u64 = 11;
const PROMPT: usize = 7;
/// Rows, source and target tokens. Sources reach beyond the distances that have a bucket of their own.
const BATCH: [usize; 3] = [3, 41, 9];

/// A model on one device.
pub(super) struct Side {
    pub(super) model: T5,
    pub(super) device: Device,
}

pub(super) struct Pair {
    pub(super) processor: Side,
    pub(super) examined: Side,
    pub(super) batch: TokenBatch,
}

/// T5 v1.1's kind of model.
pub(super) fn gated() -> anyhow::Result<T5Config> {
    synthetic::t5(json!({
        "d_model": 64, "d_kv": 16, "d_ff": 160, "num_heads": 4, "num_layers": 2, "vocab_size": 101,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    }))
}

/// The original T5's, with odd sizes.
pub(super) fn tied() -> anyhow::Result<T5Config> {
    synthetic::t5(json!({
        "d_model": 40, "d_kv": 12, "d_ff": 72, "num_heads": 3, "num_layers": 2, "vocab_size": 97,
        "feed_forward_proj": "relu", "tie_word_embeddings": true,
    }))
}

impl Pair {
    pub(super) fn new(config: &T5Config, precision: PrecisionName, device: &Device) -> Self {
        let side = |device: &Device| Side {
            model: synthetic::model(config, precision, &Draw::Host(SEED), device),
            device: device.clone(),
        };
        Self {
            processor: side(&Device::flex()),
            examined: side(device),
            batch: synthetic::batch(BATCH, config.vocab_size, true, SEED),
        }
    }

    /// With some neurons and heads left out, not the same ones in each layer.
    pub(super) fn reduced(self) -> anyhow::Result<Self> {
        let mut selection = Selection::full(self.processor.model.config());
        for stack in [&mut selection.encoder, &mut selection.decoder] {
            for (layer, neurons) in stack.neurons.iter_mut().enumerate() {
                neurons.retain(|neuron| neuron % (layer + 2) != 0);
            }
            for lists in [&mut stack.heads, &mut stack.cross_heads] {
                for (layer, heads) in lists.iter_mut().enumerate() {
                    heads.retain(|head| *head != layer);
                }
            }
        }
        let side = |side: Side| -> anyhow::Result<Side> {
            Ok(Side {
                model: partial(&side.model, &selection)?,
                device: side.device,
            })
        };
        Ok(Self {
            processor: side(self.processor)?,
            examined: side(self.examined)?,
            batch: self.batch,
        })
    }
}

impl Side {
    pub(super) fn prompt(&self) -> SoftPrompt {
        synthetic::prompt(PROMPT, self.model.config().d_model, SEED, &self.device)
    }

    /// The prompt without gradients.
    pub(super) fn prefix(&self) -> Tensor<2> {
        self.prompt().weight.val().inner()
    }

    /// Logits under teacher forcing, one after the other.
    pub(super) fn logits(&self, batch: &TokenBatch) -> Vec<f32> {
        let batch = batch_tensors(batch, &self.device);
        numbers(self.model.logits(Some(self.prefix()), &batch, &mut NoTaps))
    }

    /// Loss, and gradient of the prompt.
    pub(super) fn step(&self, batch: &TokenBatch) -> anyhow::Result<(f64, Vec<f32>)> {
        let prompt = self.prompt();
        let step = Step::new(&self.model, &prompt, batch, &self.device);
        let gradient = step.gradients.get::<2>(prompt.weight.id);
        let gradient = gradient.map_or_else(Vec::new, numbers);
        let [loss, _] = Step::read(step.values)?;
        Ok((loss, gradient))
    }

    /// Logits `[length, vocabulary]` of one row of the sources, given that it is answered with `answer`.
    pub(super) fn logits_of_answer(
        &self,
        batch: &TokenBatch,
        row: usize,
        answer: &[u32],
    ) -> Vec<f32> {
        let all = batch_tensors(batch, &self.device);
        let labels: Vec<i32> = answer.iter().map(|&id| id as i32).collect();
        let labels = TensorData::new(labels, [1, answer.len()]);
        let one = LmBatch {
            source: all.source.narrow(0, row, 1),
            mask: all.mask.narrow(0, row, 1),
            labels: Tensor::<2, Int>::from_data(labels, &self.device),
        };
        numbers(self.model.logits(Some(self.prefix()), &one, &mut NoTaps))
    }
}

/// The numbers of a tensor, in f32.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
