//! What can stop a run.

use std::any::Any;
use std::fmt::Display;
use std::path::PathBuf;

use fpt_files::FileError;
use fpt_partial::PartialError;
use fpt_prompt::PromptError;
use fpt_schedule::ScheduleError;
use fpt_t5::T5Error;
use fpt_tasks::{BatchError, DeclarationError, ScoreError, TaskError, TokenizeError, UnknownName};

/// Of what a device has to say.
const MOST_WORDS: usize = 60;

/// What can stop a run. Every message names the file, the key or the value, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// A file of a run or of an adapter is not what was written.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Settings that fit no configuration.
    #[error("{reason}")]
    Setting {
        /// Which, and why, a line each.
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
    /// There is something in the place of the output directory, such as a run that another process has finished meanwhile.
    #[error("cannot use {} for the run: it already exists; choose another --out, or remove it", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds a finished run that is another one than that which is wanted.
    #[error(
        "{} holds a finished run of {what}: {}; choose another --out, or let --force-new set it aside and train anew",
        path.display(),
        differences.join("; ")
    )]
    OtherRun {
        /// The directory.
        path: PathBuf,
        /// `another configuration` or `other inputs`.
        what: &'static str,
        /// What differs, a phrase each.
        differences: Vec<String>,
    },
    /// A finished run read something else than is there now, by which it is to be compared with others.
    #[error("{} can't be compared by what is there now: {difference}; put back what it read, or train it anew", path.display())]
    Replaced {
        /// The directory.
        path: PathBuf,
        /// What differs, a phrase.
        difference: &'static str,
    },
    /// A finished run is not what it was when it was finished.
    #[error(
        "{} holds a finished run that is damaged: {reason}; restore it, or let --force-new set it aside and train anew",
        path.display()
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// Which file, and what is the matter with it.
        reason: String,
    },
    /// The directory holds an unfinished run that can't be gone on with, as it is another one than that which is wanted.
    #[error(
        "{} holds an unfinished run, {what}: {}; choose another --out, or let --restart set it aside and begin anew",
        path.display(),
        differences.join("; ")
    )]
    Begun {
        /// The directory.
        path: PathBuf,
        /// `of another configuration`, `of other inputs` or `computed otherwise`.
        what: &'static str,
        /// What differs, a phrase each.
        differences: Vec<String>,
    },
    /// Two labels that are one to the model.
    #[error(
        "the labels `{}` and `{}` have the same tokens within the limit of {most}; take other words, or a larger `max_target`",
        labels[0],
        labels[1]
    )]
    SameLabel {
        /// The words.
        labels: [String; 2],
        /// The limit of targets, in tokens.
        most: usize,
    },
    /// The run was told to stop.
    #[error("stopped")]
    Stopped,
    /// Another process is at work in the directory.
    #[error("cannot use {} for the run: {owner} is writing it; wait for its end, or choose another --out", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Who.
        owner: String,
    },
    /// Another process has taken the directory over.
    #[error(
        "lost {} to {owner}, which took it over as nothing was heard of this process for long (was it suspended, or the \
         file system away?); nothing was overwritten; the same command goes on when that process is gone",
        path.display()
    )]
    Lost {
        /// The directory.
        path: PathBuf,
        /// Who has it now.
        owner: String,
    },
    /// A run failed after its first metrics, which are kept.
    #[error("the run failed ({} keeps what it wrote until then)", kept.display())]
    Failed {
        /// Why.
        source: Box<TrainError>,
        /// Where its metrics are.
        kept: PathBuf,
    },
    /// Loss, gradient or prompt became infinite or NaN. No prompt that it has moved is kept.
    #[error(
        "the {what} is {value} at step {step}, in stage {stage}, on the examples {}: training diverged; lower \
         `train.learning_rate`, look at these examples, or let `train.on_nonfinite=\"skip\"` pass over a few such \
         batches",
        examples.join(", ")
    )]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// `loss`, `norm of the gradient` or `prompt`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The stage, from 0.
        stage: usize,
        /// The ids of the step's training examples.
        examples: Vec<String>,
    },
    /// The device failed, or what computes on it, most often because its memory ran out.
    #[error(
        "the device failed: {reason}; if its memory ran out, lower `train.batch_size` or `train.batch_tokens` \
         (`eval.batch_size` if it did in an evaluation), or keep the batch and raise `train.accumulate`, set \
         `train.recompute` to \"attention\" or \"layers\", or `precision` to \"bf16\""
    )]
    Device {
        /// What it said.
        reason: String,
    },
    /// A file of scores can't be used.
    #[error("cannot use the scores in {}: {reason}", path.display())]
    Scores {
        /// The file.
        path: PathBuf,
        /// Why, and the way out.
        reason: String,
    },
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The schedule does not fit the model or the steps.
    #[error("invalid configuration")]
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
    /// A declaration that makes no task.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
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

impl TrainError {
    /// A device reports `error`, whose pages of context become a sentence.
    pub(crate) fn device(error: impl Display) -> Self {
        let text = error.to_string();
        let words: Vec<&str> = text.split_whitespace().take(MOST_WORDS).collect();
        Self::Device {
            reason: words.join(" "),
        }
    }

    /// What computes panicked, as Burn does where a device fails.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::device(text.unwrap_or("it does not say why"))
    }

    /// `path` can't be written.
    pub(crate) fn output(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::Output {
            path: path.into(),
            reason: error.to_string(),
        }
    }
}
