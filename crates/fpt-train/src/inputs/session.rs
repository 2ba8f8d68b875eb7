//! Model, tokenizer and settings: what training and evaluation share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use fpt_prompt::{PromptInit, SoftPrompt};
use fpt_t5::{Generation, T5, T5Tokenizer};
use fpt_tasks::{
    Dataset, Example, Lengths, Scores, Split, Task, Tasks, Tokenized, TokenizedExample, read_split,
    tokenize,
};

use super::cache::Cache;
use super::token_cache;
use super::turn::Turn;
use super::{FindModel, FoundModel, HubModel};
use crate::record::{Event, Log};
use crate::{Answering, Compute, Predictor, RunConfig, TrainError};

/// So many examples between two signs of life.
const TOKENIZED_AT_ONCE: usize = 1 << 14;

/// A split, read and tokenised.
pub struct SplitData {
    /// The examples and what was odd about the file.
    pub dataset: Dataset,
    /// Their token ids, in the same order.
    pub tokens: Vec<TokenizedExample>,
    /// What of them was longer than the limits, and cut: a line each.
    pub cut: Vec<String>,
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
    /// Its task.
    pub task: Arc<dyn Task>,
    /// Where and how precisely it computes.
    pub compute: Compute,
    /// Where the model was read from.
    pub directory: PathBuf,
    /// Where it came from, if from a hub.
    pub hub: Option<HubModel>,
    /// The frozen model.
    pub model: T5,
    /// Its tokenizer.
    pub tokenizer: T5Tokenizer,
    /// How its answers are found.
    pub answering: Answering,
}

impl Session {
    /// Load model and tokenizer onto `device`, frozen, from where `find` says. The task is declared in `config`, or one of
    /// `tasks`.
    ///
    /// # Errors
    /// Those of `find` and of [`RunConfig::task`], and [`TrainError::Model`] if model and tokenizer
    /// can't be read or do not fit each other.
    pub fn load(
        config: &RunConfig,
        tasks: &Tasks,
        find: FindModel,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let compute = Compute::new(config, device);
        let task = config.task(tasks)?;
        let FoundModel { directory, hub } = find(&config.model)?;
        let tokenizer = T5Tokenizer::from_directory(&directory)?;
        let model = frozen(config, &directory, &compute)?;
        tokenizer.check_fits(model.config())?;
        let answering = Answering::of(&*task, &tokenizer, config.limits(&*task).max_target)?;
        Ok(Self {
            config: config.clone(),
            answering,
            task,
            compute,
            directory,
            hub,
            model,
            tokenizer,
        })
    }

    /// The model once more, from the same files, on another device.
    ///
    /// # Errors
    /// [`TrainError::Model`] if it can't be read.
    pub(crate) fn replica(&self, device: &Device) -> Result<T5, TrainError> {
        let compute = Compute::new(&self.config, device);
        frozen(&self.config, &self.directory, &compute)
    }

    /// That a split can be reported.
    ///
    /// # Errors
    /// [`TrainError::Value`] if it has no answers.
    pub(super) fn check_reported(&self, data: &SplitData) -> Result<(), TrainError> {
        if data.examples().iter().all(|e| e.target.is_some()) {
            return Ok(());
        }
        let split = self.config.eval.reported(&*self.task);
        Err(TrainError::Value {
            key: "eval.report",
            reason: format!(
                "is {split}, whose file has no answers, as those of the leaderboards: report dev, as the paper does, \
                 and write a submission with `fpt eval --split {split} --submission FILE`"
            ),
        })
    }

    /// Read and tokenise a split of the task.
    ///
    /// # Errors
    /// [`TrainError::Task`] names file and line.
    pub fn read(&self, split: Split) -> Result<SplitData, TrainError> {
        let dataset = self.examples(split)?;
        let tokenized = self.tokenize(&dataset.examples, &mut |_, _| Ok(()))?;
        Ok(self.split_data(dataset, tokenized))
    }

    /// [`Session::read`]; the tokens of large data are taken from `cache`, or else kept there for other runs, which wait
    /// for them. While such data are tokenised, the log hears of which split, how many examples and of how many.
    ///
    /// # Errors
    /// As [`Session::read`], and [`TrainError::Stopped`]. Whatever is wrong with the cache is one of its warnings.
    pub(super) fn read_cached(
        &self,
        split: Split,
        cache: &mut Cache,
        log: &mut Log<'_>,
    ) -> Result<SplitData, TrainError> {
        let dataset = self.examples(split)?;
        let examples = &dataset.examples;
        let about = (&self.config.task, split);
        let name = token_cache::name(about, &self.tokenizer, examples, self.limits())?;
        let vocabulary = self.model.config().vocab_size;
        let parse = |bytes: &[u8]| token_cache::read(bytes, examples.len(), vocabulary);
        let turn = match &name {
            Some(name) => cache.turn(name, token_cache::FORMAT, &parse, &mut |waiting| {
                log.wait(&format!("the tokens of {split}"), waiting)
            })?,
            None => Turn::Make(None),
        };
        let tokenized = match turn {
            Turn::Found(tokenized) => tokenized,
            Turn::Make(_making) => {
                let tokenized = self.tokenize(examples, &mut |examples, of| {
                    log.emit(Event::Tokenized {
                        split,
                        examples,
                        of,
                    })
                })?;
                if let Some(name) = name {
                    cache.keep(&name, token_cache::FORMAT, token_cache::write(&tokenized));
                }
                tokenized
            }
        };
        Ok(self.split_data(dataset, tokenized))
    }

    fn split_data(&self, dataset: Dataset, tokenized: Tokenized) -> SplitData {
        let count = dataset.examples.len();
        SplitData {
            dataset,
            cut: tokenized.cuts.describe(count, self.limits()),
            tokens: tokenized.examples,
        }
    }

    fn limits(&self) -> Lengths {
        self.config.limits(&*self.task)
    }

    fn examples(&self, split: Split) -> Result<Dataset, TrainError> {
        Ok(read_split(&self.config.data, &*self.task, split)?)
    }

    fn tokenize(
        &self,
        examples: &[Example],
        on_tokenized: &mut dyn FnMut(usize, usize) -> Result<(), TrainError>,
    ) -> Result<Tokenized, TrainError> {
        let mut tokenized = Tokenized::default();
        for part in examples.chunks(TOKENIZED_AT_ONCE) {
            let encode = |text: &str| self.tokenizer.encode(text);
            tokenized.extend(tokenize(part, encode, self.limits())?);
            if examples.len() > TOKENIZED_AT_ONCE {
                on_tokenized(tokenized.examples.len(), examples.len())?;
            }
        }
        Ok(tokenized)
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
    pub(crate) fn score_prompt(&self, device: &Device) -> Result<SoftPrompt, TrainError> {
        let length = self.config.prompt.length;
        let encode = |text: &str| self.tokenizer.encode(text);
        let init = match &self.config.prompt.init {
            PromptInit::Adapter { .. } => &PromptInit::Uniform,
            init => init,
        };
        Ok(init.prompt(length, &self.model, 0, encode, device)?)
    }

    /// How answers are generated: greedily, and no longer than targets are.
    pub fn generation(&self) -> Generation {
        Generation {
            vocabulary: Some(self.tokenizer.vocab_size()),
            ..Generation::greedy(self.limits().max_target)
        }
    }

    /// The answers of `model` (this session's, or a partial one of it) to the first `limit` examples of `data`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn answer(
        &self,
        model: &T5,
        prompt: Option<&SoftPrompt>,
        data: &SplitData,
        limit: usize,
        on_batch: &mut dyn FnMut(usize) -> Result<(), TrainError>,
    ) -> Result<Vec<String>, TrainError> {
        let limit = limit.min(data.tokens.len());
        let predictor = Predictor {
            model,
            tokenizer: &self.tokenizer,
            prompt,
            generation: self.generation(),
            answering: &self.answering,
        };
        predictor.predict(
            &data.tokens[..limit],
            self.config.eval.batch_limits(),
            on_batch,
        )
    }

    /// [`Session::answer`], and the scores of the answers.
    ///
    /// # Errors
    /// As [`Predictor::predict`], and [`TrainError::Score`] if the examples have no answers.
    pub fn evaluate(
        &self,
        model: &T5,
        prompt: Option<&SoftPrompt>,
        data: &SplitData,
        limit: usize,
        on_batch: &mut dyn FnMut(usize) -> Result<(), TrainError>,
    ) -> Result<(Scores, Vec<String>), TrainError> {
        let answers = self.answer(model, prompt, data, limit, on_batch)?;
        let answered = &data.examples()[..answers.len()];
        let scores = self.task.score(answered, &answers)?;
        Ok((scores, answers))
    }
}

/// The model in `directory` where `compute` says, as `config` wants it.
fn frozen(config: &RunConfig, directory: &Path, compute: &Compute) -> Result<T5, TrainError> {
    let model = compute.load(directory)?;
    Ok(model.recomputing(config.train.recompute))
}
