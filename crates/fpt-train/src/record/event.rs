//! What happens during a run.

use std::path::PathBuf;

use fpt_schedule::PartialSize;
use fpt_tasks::{Scores, Split};
use serde::{Deserialize, Serialize};

use super::RunResult;

/// What happens during a run, for progress bars and logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// What another run had left under the name of this one's unfinished directory was moved out of the way.
    SetAside {
        /// Where to.
        path: PathBuf,
    },
    /// The run goes on with what one before it left unfinished.
    Resumed {
        /// Steps that were taken already.
        step: usize,
        /// Where it was found.
        path: PathBuf,
    },
    /// Another process makes, or has, what the run needs.
    Waiting {
        /// For what and whom, a sentence without its full stop.
        message: String,
    },
    /// Something is odd, but no reason to end the run.
    Warning {
        /// What, a sentence without its full stop.
        message: String,
    },
    /// Examples of large data were tokenized.
    Tokenized {
        /// Of which split.
        split: Split,
        /// How many so far.
        examples: usize,
        /// Of how many.
        of: usize,
    },
    /// Model, data and scores are there.
    Loaded {
        /// Optimizer steps to come.
        steps: usize,
        /// What was odd about the data, a line a file, and about the cache.
        warnings: Vec<String>,
    },
    /// The frozen model without a prompt was evaluated.
    NoPrompt {
        /// On this split.
        split: Split,
        /// The scores.
        scores: Scores,
    },
    /// Examples were evaluated.
    Evaluated {
        /// How many more.
        examples: usize,
    },
    /// The run is finished.
    Finished {
        /// Its outcome.
        result: Box<RunResult>,
    },
    /// A line of `metrics.jsonl`.
    #[serde(untagged)]
    Metric(MetricRecord),
}

impl From<MetricRecord> for Event {
    fn from(record: MetricRecord) -> Self {
        Self::Metric(record)
    }
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricRecord {
    /// A stage begins.
    Stage {
        /// Its number, from 0.
        stage: usize,
        /// Steps taken before it.
        step: usize,
        /// How much of the model it trains on.
        size: PartialSize,
    },
    /// An optimizer step.
    Step {
        /// Steps taken, this one included.
        step: usize,
        /// Loss before the step, nats a token.
        loss: f64,
        /// Norm of the prompt's gradient before clipping.
        gradient_norm: f64,
        /// Seconds of training so far, expansions included, evaluation excluded. Where to read a number waits for the
        /// device, several steps are read at once, and their time is spread evenly over them.
        seconds: f64,
        /// Floating-point operations of training so far, forward and backward, counted from the shapes that
        /// were really multiplied. What `train.recompute` computes a second time is not counted again: these are the
        /// operations that the gradient takes, however much memory there is.
        flops: f64,
        /// Tokens of sources and targets that training so far has seen, padding not counted; 0 where an older run did not
        /// count them.
        #[serde(default)]
        tokens: u64,
    },
    /// A step went wrong, so it was undone (`train.on_nonfinite`): training went back, and on with the batches after its.
    /// The steps since `back_to` come again, with other batches.
    Undone {
        /// The step.
        step: usize,
        /// `loss`, `norm of the gradient` or `prompt`.
        what: String,
        /// Its value, which JSON has no number for: `NaN`, `inf` or `-inf`.
        value: String,
        /// The ids of the step's training examples.
        examples: Vec<String>,
        /// After how many steps training goes on.
        back_to: usize,
    },
    /// An evaluation on dev examples by greedy decoding.
    Eval {
        /// Steps taken.
        step: usize,
        /// Examples used.
        examples: usize,
        /// The scores.
        dev: Scores,
        /// Whether the prompt is the best so far.
        best: bool,
        /// Floating-point operations of training so far.
        flops: f64,
        /// The scores on all of the reported split, if the prompt is the best so far and the run is a reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported: Option<Scores>,
    },
    /// Training ends before its last step: `train.patience` evaluations in a row brought no better score.
    OutOfPatience {
        /// Steps taken.
        step: usize,
        /// Of so many.
        of: usize,
    },
    /// A partial stage ends: the prompt is evaluated on the stage's own model, too.
    StageEnd {
        /// The stage.
        stage: usize,
        /// Steps taken.
        step: usize,
        /// Dev scores on the partial model.
        dev: Scores,
    },
}
