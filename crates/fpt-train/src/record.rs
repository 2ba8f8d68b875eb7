//! What a run writes down.

use fpt_tasks::{Scores, TaskKind};
use serde::{Deserialize, Serialize};

/// What the caller knows of the machine; libraries do not ask for it themselves.
#[derive(Clone, Debug)]
pub struct Host {
    /// Source revision of the program.
    pub revision: String,
    /// Name of the device, such as `cpu`.
    pub device: String,
    /// Peak memory of the process in bytes, where the system tells.
    pub peak_memory: fn() -> Option<u64>,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MetricRecord {
    /// An optimizer step.
    Step {
        /// Steps taken, this one included.
        step: usize,
        /// Loss before the step, nats a token.
        loss: f64,
        /// Norm of the prompt's gradient before clipping.
        gradient_norm: f64,
        /// Seconds of training so far, evaluation excluded.
        seconds: f64,
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
    },
}

/// Wall-clock seconds of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Loading model and data.
    pub load: f64,
    /// Optimizer steps.
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

/// The outcome of a run, `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The task.
    pub task: TaskKind,
    /// Seed.
    pub seed: u64,
    /// Metric of the paper's tables: a key of the scores.
    pub metric: String,
    /// What predicting without reading scores on test.
    pub baseline: BaselineScore,
    /// The frozen model without any prompt, on test.
    pub no_prompt: Scores,
    /// The best prompt on all of dev.
    pub dev: Scores,
    /// The best prompt on all of test.
    pub test: Scores,
    /// Steps after which the prompt was the best on dev.
    pub best_step: usize,
    /// Steps taken.
    pub steps: usize,
    /// Mean loss of the last tenth of the steps.
    pub final_loss: f64,
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
