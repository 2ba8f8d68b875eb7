use burn::tensor::Device;
use fpt_t5::{Generation, T5, T5Tokenizer};
use fpt_tasks::{
    Dataset, Example, Lengths, Scores, Split, TokenizedExample, read_split, task, tokenize,
};

use crate::{Predictor, RunConfig, TrainError};
use fpt_prompt::{PromptInit, SoftPrompt};

/// A split, read and tokenised.
pub struct SplitData {
    /// The examples and what was odd about the file.
    pub dataset: Dataset,
    /// Their token ids, in the same order.
    pub tokens: Vec<TokenizedExample>,
}

impl SplitData {
    /// The examples.
    pub fn examples(&self) -> &[Example] {
        &self.dataset.examples
    }
}

/// Model, tokenizer and settings of a run: what training and evaluation share.
pub struct Session {
    /// The run.
    pub config: RunConfig,
    /// The frozen model.
    pub model: T5,
    /// Its tokenizer.
    pub tokenizer: T5Tokenizer,
}

impl Session {
    /// Load model and tokenizer onto `device`, frozen.
    ///
    /// # Errors
    /// [`TrainError::Model`] if they can't be read or do not fit each other.
    pub fn load(config: &RunConfig, device: &Device) -> Result<Self, TrainError> {
        let tokenizer = T5Tokenizer::from_file(config.model.join("tokenizer.json"))?;
        let model = T5::from_pretrained(&config.model, device)?;
        tokenizer.check_fits(model.config())?;
        Ok(Self {
            config: config.clone(),
            model,
            tokenizer,
        })
    }

    /// The longest target, which also limits generation.
    pub fn max_target(&self) -> usize {
        self.config
            .lengths
            .max_target
            .unwrap_or_else(|| task(self.config.task).max_target_length())
    }

    /// Read and tokenise a split of the task.
    ///
    /// # Errors
    /// [`TrainError::Task`] names file and line.
    pub fn read(&self, split: Split) -> Result<SplitData, TrainError> {
        let dataset = read_split(&self.config.data, self.config.task, split)?;
        let limits = Lengths {
            max_source: self.config.lengths.max_source,
            max_target: self.max_target(),
        };
        let tokens = tokenize(
            &dataset.examples,
            |text| self.tokenizer.encode(text),
            limits,
        )?;
        Ok(SplitData { dataset, tokens })
    }

    /// An untrained prompt, as the configuration wants it.
    ///
    /// # Errors
    /// [`TrainError::Prompt`].
    pub fn fresh_prompt(&self, seed: u64, device: &Device) -> Result<SoftPrompt, TrainError> {
        let prompt = &self.config.prompt;
        let encode = |text: &str| self.tokenizer.encode(text);
        Ok(prompt
            .init
            .prompt(prompt.length, &self.model, seed, encode, device)?)
    }

    /// The prompt that models are scored with: untrained, and the same for all seeds and all starts, so that one
    /// scoring serves them all.
    ///
    /// # Errors
    /// [`TrainError::Prompt`].
    pub fn score_prompt(&self, device: &Device) -> Result<SoftPrompt, TrainError> {
        let length = self.config.prompt.length;
        let encode = |text: &str| self.tokenizer.encode(text);
        let init = match &self.config.prompt.init {
            PromptInit::Adapter { .. } => &PromptInit::Uniform,
            init => init,
        };
        Ok(init.prompt(length, &self.model, 0, encode, device)?)
    }

    /// The answers of `model` (this session's, or a partial one of it) to the first `limit` examples of `data`,
    /// and their scores.
    ///
    /// # Errors
    /// As [`Predictor::predict`], and [`TrainError::Score`] if the examples have no answers.
    pub fn evaluate(
        &self,
        model: &T5,
        prompt: Option<&SoftPrompt>,
        data: &SplitData,
        limit: usize,
        on_batch: &mut dyn FnMut(usize),
    ) -> Result<(Scores, Vec<String>), TrainError> {
        let limit = limit.min(data.tokens.len());
        let predictor = Predictor {
            model,
            tokenizer: &self.tokenizer,
            prompt,
            generation: Generation {
                vocabulary: Some(self.tokenizer.vocab_size()),
                ..Generation::greedy(self.max_target())
            },
        };
        let answers =
            predictor.predict(&data.tokens[..limit], self.config.eval.batch_size, on_batch)?;
        let scores = task(self.config.task).score(&data.examples()[..limit], &answers)?;
        Ok((scores, answers))
    }
}
