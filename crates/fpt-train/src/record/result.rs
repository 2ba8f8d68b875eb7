//! What a run comes to.

use fpt_schedule::PartialSize;
use fpt_tasks::{Scores, Split, TaskName};
use serde::{Deserialize, Serialize};

use crate::EvalModel;

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
    /// Of processors, all threads together, in the process that finished the run; absent where the system does not tell. Much
    /// less than threads times the seconds above says that others were at work on the machine, or that a device was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
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

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The outcome of a run, `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The task.
    pub task: TaskName,
    /// Name of the schedule, such as `FPT-CR`.
    pub method: String,
    /// Seed.
    pub seed: u64,
    /// Metric of the paper's tables: a key of the scores.
    pub metric: String,
    /// The split that was reported.
    pub split: Split,
    /// What predicting without reading scores on it.
    pub baseline: BaselineScore,
    /// The frozen model without any prompt, on the reported split, if the run is a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_prompt: Option<Scores>,
    /// The best prompt on all of dev.
    pub dev: Scores,
    /// The best prompt on all of the reported split.
    pub reported: Scores,
    /// Which model these scores are of.
    pub evaluated: EvalModel,
    /// Where that is a partial model: the same prompt before the full model, on all of the reported split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_full: Option<Scores>,
    /// Steps after which the prompt was the best on dev.
    pub best_step: usize,
    /// Steps taken.
    pub steps: usize,
    /// Batches that went wrong or came to nothing with one that did, and were trained on in vain (`train.on_nonfinite`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_batches: usize,
    /// Mean loss of the last tenth of the steps.
    pub final_loss: f64,
    /// The stages, in order.
    pub stages: Vec<StageRecord>,
    /// Floating-point operations of all training steps, forward and backward, undone ones included.
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
    /// The processor with its vector units, where the system told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// When the run was finished, seconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_seconds: Option<u64>,
}
