//! Answers of a model, batch by batch.

use burn::tensor::{Device, Tensor, TensorData};
use fpt_prompt::SoftPrompt;
use fpt_t5::{Generation, Lm, LmBatch, T5Tokenizer};
use fpt_tasks::{BatchLimits, EvalBatches, PadTo, TokenBatch, TokenizedExample};

use crate::{Answering, TrainError};

/// A padded batch on `device`.
pub fn batch_tensors(batch: &TokenBatch, device: &Device) -> LmBatch {
    let source = [batch.size, batch.source_len];
    let labels = [batch.size, batch.target_len];
    let real = |&real: &bool| f32::from(u8::from(real));
    let mask: Vec<f32> = batch.source_mask.iter().map(real).collect();
    LmBatch {
        source: Tensor::from_data(TensorData::new(batch.source.clone(), source), device),
        mask: Tensor::from_data(TensorData::new(mask, source), device),
        labels: Tensor::from_data(TensorData::new(batch.labels.clone(), labels), device),
    }
}

/// Finds answers with a frozen model and, if given, a prompt.
pub struct Predictor<'a> {
    /// The model.
    pub model: &'a dyn Lm,
    /// Its tokenizer.
    pub tokenizer: &'a T5Tokenizer,
    /// The prompt, on the model's device.
    pub prompt: Option<&'a SoftPrompt>,
    /// How to generate.
    pub generation: Generation,
    /// Whether to generate at all.
    pub answering: &'a Answering,
}

impl Predictor<'_> {
    /// The answer to each example, in their order: generated, or else the most probable label, the first of equals. As
    /// [T0](https://arxiv.org/abs/2110.08207) ranks labels: by the sum of the log-probabilities, whatever the length.
    /// `on_batch` is told how many more are done; an error of it ends the work.
    ///
    /// # Errors
    /// [`TrainError::Batch`] if a limit of the batches is 0, [`TrainError::Model`] if ids can't be decoded, and those
    /// of `on_batch`.
    pub fn predict(
        &self,
        examples: &[TokenizedExample],
        limits: impl Into<BatchLimits>,
        on_batch: &mut dyn FnMut(usize) -> Result<(), TrainError>,
    ) -> Result<Vec<String>, TrainError> {
        let lengths: Vec<usize> = examples.iter().map(|e| e.source.len()).collect();
        let device = self.model.device();
        let mut answers = vec![String::new(); examples.len()];
        for indices in EvalBatches::new(&lengths, limits)?.iter() {
            let batch = TokenBatch::new(examples, indices, PadTo::Multiple(1));
            let tensors = batch_tensors(&batch, &device);
            let found = self.answers(tensors)?;
            for (&index, answer) in batch.indices.iter().zip(found) {
                answers[index] = answer;
            }
            on_batch(batch.size)?;
        }
        Ok(answers)
    }

    /// The answers to a batch.
    fn answers(&self, batch: LmBatch) -> Result<Vec<String>, TrainError> {
        let prefix = self.prompt.map(|prompt| prompt.weight.val());
        let labels = self.answering.labels();
        if labels.is_empty() {
            let ids = self
                .model
                .answer(prefix, batch.source, batch.mask, &self.generation);
            let decoded = ids.iter().map(|ids| self.tokenizer.decode(ids));
            return Ok(decoded.collect::<Result<_, _>>()?);
        }
        let ids: Vec<Vec<u32>> = labels.iter().map(|(_, ids)| ids.clone()).collect();
        let scores = self
            .model
            .score_labels(prefix, batch.source, batch.mask, &ids);
        let best = scores.argmax(1).into_data();
        let words = best
            .iter::<i64>()
            .map(|best| labels[best as usize].0.clone());
        Ok(words.collect())
    }
}
