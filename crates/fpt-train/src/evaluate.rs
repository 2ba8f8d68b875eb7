//! Answers of a model, batch by batch.

use burn::tensor::{Device, Tensor, TensorData};
use fpt_prompt::SoftPrompt;
use fpt_t5::{Generation, Lm, LmBatch, T5Tokenizer};
use fpt_tasks::{BatchLimits, EvalBatches, PadTo, TokenBatch, TokenizedExample};

use crate::TrainError;

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

/// Generates answers with a frozen model and, if given, a prompt.
pub struct Predictor<'a> {
    /// The model.
    pub model: &'a dyn Lm,
    /// Its tokenizer.
    pub tokenizer: &'a T5Tokenizer,
    /// The prompt, on the model's device.
    pub prompt: Option<&'a SoftPrompt>,
    /// How to generate.
    pub generation: Generation,
}

impl Predictor<'_> {
    /// The answer to each example, in their order. `on_batch` is told how many more are done;
    /// an error of it ends the work.
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
            let prefix = self.prompt.map(|prompt| prompt.weight.val());
            let ids = self
                .model
                .answer(prefix, tensors.source, tensors.mask, &self.generation);
            for (&index, ids) in batch.indices.iter().zip(&ids) {
                answers[index] = self.tokenizer.decode(ids)?;
            }
            on_batch(batch.size)?;
        }
        Ok(answers)
    }

    /// The most probable of `labels`, token ids with the end-of-sequence token, for each example, in their order: its place;
    /// the first of equals. As [T0](https://arxiv.org/abs/2110.08207) ranks: by the sum of the log-probabilities, whatever
    /// the length.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn rank(
        &self,
        examples: &[TokenizedExample],
        labels: &[Vec<u32>],
        limits: impl Into<BatchLimits>,
        on_batch: &mut dyn FnMut(usize) -> Result<(), TrainError>,
    ) -> Result<Vec<usize>, TrainError> {
        let lengths: Vec<usize> = examples.iter().map(|e| e.source.len()).collect();
        let device = self.model.device();
        let mut chosen = vec![0; examples.len()];
        for indices in EvalBatches::new(&lengths, limits)?.iter() {
            let batch = TokenBatch::new(examples, indices, PadTo::Multiple(1));
            let tensors = batch_tensors(&batch, &device);
            let prefix = self.prompt.map(|prompt| prompt.weight.val());
            let scores = self
                .model
                .score_labels(prefix, tensors.source, tensors.mask, labels);
            let best = scores.argmax(1).into_data();
            for (&index, best) in batch.indices.iter().zip(best.iter::<i64>()) {
                chosen[index] = best as usize;
            }
            on_batch(batch.size)?;
        }
        Ok(chosen)
    }
}
