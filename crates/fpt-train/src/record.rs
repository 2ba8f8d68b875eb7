//! What a run writes down.

use fpt_schedule::PartialSize;
use fpt_tasks::{Scores, TaskKind};
use serde::{Deserialize, Serialize};

use crate::{EvalModel, FindModel};

/// What the caller knows of the machine; libraries do not ask for it themselves.
#[derive(Clone, Debug)]
pub struct Host {
    /// Source revision of the program.
    pub revision: String,
    /// Name of the device, such as `cpu`.
    pub device: String,
    /// Peak memory of the process in bytes, where the system tells.
    pub peak_memory: fn() -> Option<u64>,
    /// Where models are.
    pub find_model: FindModel,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
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
        /// Seconds of training so far, expansions included, evaluation excluded.
        seconds: f64,
        /// Floating-point operations of training so far, forward and backward, counted from the shapes that
        /// were really multiplied.
        flops: f64,
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
        /// The scores on all of test, if the prompt is the best so far and the run is a reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<Scores>,
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

/// Wall-clock seconds of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Loading model and data.
    pub load: f64,
    /// Scoring neurons and heads; 0 where the scores were found.
    #[serde(default)]
    pub score: f64,
    /// Optimizer steps, and making the models of the stages.
    pub train: f64,
    /// Evaluations, the final ones included.
    pub evaluate: f64,
}

/// What predicting without reading scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineScore {
    /// Which baseline, such as `majority`.
    pub name: String,
    /// Its value of the run's metric, percent.
    pub value: f64,
}

/// What a stage took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// How much of the model it trained on.
    pub size: PartialSize,
    /// Optimizer steps.
    pub steps: usize,
    /// Floating-point operations, forward and backward.
    pub flops: f64,
    /// Seconds of its steps.
    pub seconds: f64,
    /// Seconds it took to make its model.
    pub expansion_seconds: f64,
    /// Bytes of its model's weights, shared ones included.
    pub weight_bytes: u64,
    /// Dev scores on its own model at its end, if that is not the full model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<Scores>,
}

/// The outcome of a run, `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The task.
    pub task: TaskKind,
    /// Name of the schedule, such as `FPT-CR`.
    pub method: String,
    /// Seed.
    pub seed: u64,
    /// Metric of the paper's tables: a key of the scores.
    pub metric: String,
    /// What predicting without reading scores on test.
    pub baseline: BaselineScore,
    /// The frozen model without any prompt, on test, if the run is a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_prompt: Option<Scores>,
    /// The best prompt on all of dev.
    pub dev: Scores,
    /// The best prompt on all of test.
    pub test: Scores,
    /// Which model these scores are of.
    pub evaluated: EvalModel,
    /// Where that is a partial model: the same prompt before the full model, on all of test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_full: Option<Scores>,
    /// Steps after which the prompt was the best on dev.
    pub best_step: usize,
    /// Steps taken.
    pub steps: usize,
    /// Mean loss of the last tenth of the steps.
    pub final_loss: f64,
    /// The stages, in order.
    pub stages: Vec<StageRecord>,
    /// Floating-point operations of all training steps, forward and backward.
    pub flops: f64,
    /// Where the time went.
    pub seconds: Seconds,
    /// Peak memory of the process, bytes.
    pub peak_memory: Option<u64>,
    /// Source revision.
    pub revision: String,
    /// Version of this crate.
    pub version: String,
    /// Device.
    pub device: String,
}
