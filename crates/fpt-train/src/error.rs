use std::path::PathBuf;

use fpt_partial::PartialError;
use fpt_prompt::PromptError;
use fpt_schedule::ScheduleError;
use fpt_t5::T5Error;
use fpt_tasks::{BatchError, ScoreError, TaskError, TokenizeError, UnknownName};

/// What can stop a run. Every message names the file, the key or the value, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration file can't be read or does not make sense.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with key and line where there is one.
        reason: String,
    },
    /// A value of the configuration makes no sense.
    #[error("invalid configuration: `{key}` {reason}")]
    Value {
        /// The key, dotted.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// The output directory can't be used.
    #[error("cannot use {} for the run: {reason}", path.display())]
    Output {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The loss became infinite or NaN.
    #[error("the loss is {loss} at step {step}: training diverged; lower `train.learning_rate`")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// A file of scores can't be used.
    #[error("cannot use the scores in {}: {reason}", path.display())]
    Scores {
        /// The file.
        path: PathBuf,
        /// Why, and the way out.
        reason: String,
    },
    /// The schedule does not fit the model or the steps.
    #[error("invalid configuration: {0}")]
    Schedule(#[from] ScheduleError),
    /// A partial model can't be made.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// A model that is named is not to be had.
    #[error("cannot use the model {}: {reason}", model.display())]
    NoModel {
        /// Its name.
        model: PathBuf,
        /// Why, and the way out.
        reason: String,
    },
    /// Model or tokenizer.
    #[error(transparent)]
    Model(#[from] T5Error),
    /// Prompt or adapter.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// No such task.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// Task data.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Tokenising task data.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError<T5Error>),
    /// Batching.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Scoring.
    #[error(transparent)]
    Score(#[from] ScoreError),
}
