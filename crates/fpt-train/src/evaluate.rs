//! Answers of a model, batch by batch.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_prompt::SoftPrompt;
use fpt_t5::{EncoderOutput, Generation, T5, T5Tokenizer, prepend_visible};
use fpt_tasks::{BatchLimits, EvalBatches, PadTo, TokenBatch, TokenizedExample};

use crate::TrainError;

/// Source ids `[batch, length]`, mask `[batch, length]` and labels `[batch, target length]` on `device`.
pub fn batch_tensors(
    batch: &TokenBatch,
    device: &Device,
) -> (Tensor<2, Int>, Tensor<2>, Tensor<2, Int>) {
    let source_shape = [batch.size, batch.source_len];
    let mask: Vec<f32> = batch
        .source_mask
        .iter()
        .map(|&real| f32::from(u8::from(real)))
        .collect();
    (
        Tensor::from_data(TensorData::new(batch.source.clone(), source_shape), device),
        Tensor::from_data(TensorData::new(mask, source_shape), device),
        Tensor::from_data(
            TensorData::new(batch.labels.clone(), [batch.size, batch.target_len]),
            device,
        ),
    )
}

/// Generates answers with a frozen model and, if given, a prompt.
pub struct Predictor<'a> {
    /// The model.
    pub model: &'a T5,
    /// Its tokenizer.
    pub tokenizer: &'a T5Tokenizer,
    /// The prompt, on the model's device.
    pub prompt: Option<&'a SoftPrompt>,
    /// How to generate.
    pub generation: Generation,
}

impl Predictor<'_> {
    /// The answer to each example, in their order. `on_batch` is told how many more are done.
    ///
    /// # Errors
    /// [`TrainError::Batch`] if a limit of the batches is 0, [`TrainError::Model`] if ids can't be decoded.
    pub fn predict(
        &self,
        examples: &[TokenizedExample],
        limits: impl Into<BatchLimits>,
        on_batch: &mut dyn FnMut(usize),
    ) -> Result<Vec<String>, TrainError> {
        let lengths: Vec<usize> = examples.iter().map(|e| e.source.len()).collect();
        let mut answers = vec![String::new(); examples.len()];
        for indices in EvalBatches::new(&lengths, limits)?.iter() {
            let batch = TokenBatch::new(examples, indices, PadTo::Multiple(1));
            let ids = self.model.generate(&self.encode(&batch), &self.generation);
            for (&index, ids) in batch.indices.iter().zip(&ids) {
                answers[index] = self.tokenizer.decode(ids)?;
            }
            on_batch(batch.size);
        }
        Ok(answers)
    }

    fn encode(&self, batch: &TokenBatch) -> EncoderOutput {
        let (source, mask, _) = batch_tensors(batch, &self.model.device());
        let embeddings = self.model.embed(source);
        match self.prompt {
            Some(prompt) => {
                let [length, _] = prompt.shape();
                self.model
                    .encode(prompt.prepend(embeddings), prepend_visible(mask, length))
            }
            None => self.model.encode(embeddings, mask),
        }
    }
}
