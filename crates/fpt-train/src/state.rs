//! Everything that changes while a prompt is trained.

use std::time::Duration;

use burn::optim::ModuleOptimizer;
use fpt_prompt::SoftPrompt;
use fpt_tasks::Scores;
use serde::{Deserialize, Serialize};

use crate::{StageRecord, TrainConfig, adafactor};

/// Where a training stands. Prompt and optimizer are all that survives a stage. What is drawn at random, the order of
/// the examples, follows from seed and step.
pub(crate) struct State {
    /// The prompt as it is now, on the autodiff device.
    pub(crate) prompt: SoftPrompt,
    /// Its optimizer.
    pub(crate) optimizer: ModuleOptimizer,
    /// The best prompt so far, if any was evaluated.
    pub(crate) best: Option<Best>,
    /// Loss of each step.
    pub(crate) losses: Vec<f64>,
    /// The rest, which is no tensor.
    pub(crate) counters: Counters,
}

/// How far a training is, and what it took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Optimizer steps taken.
    pub(crate) step: usize,
    /// How the stage began that is being trained on.
    pub(crate) stage: Option<StageStart>,
    /// The last evaluation of the current stage.
    pub(crate) last_evaluation: Option<Evaluation>,
    /// The stages that are finished.
    pub(crate) stages: Vec<StageRecord>,
    /// Floating-point operations of all steps so far, forward and backward.
    pub(crate) flops: f64,
    /// Time of training: steps, and making the models of the stages.
    pub(crate) training: Duration,
    /// Time of evaluations.
    pub(crate) evaluating: Duration,
    /// The frozen model without a prompt, once it was evaluated.
    pub(crate) no_prompt: Option<Scores>,
}

/// Where a stage began.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct StageStart {
    /// Time it took to make its model.
    pub(crate) expansion: Duration,
    /// Time of training before it.
    pub(crate) training_before: Duration,
    /// FLOPs before it.
    pub(crate) flops_before: f64,
}

/// The best prompt so far.
#[derive(Clone)]
pub(crate) struct Best {
    /// Mean of the task's metrics on dev.
    pub(crate) mean: f64,
    /// Steps after which it was evaluated.
    pub(crate) step: usize,
    /// On the model's device.
    pub(crate) prompt: SoftPrompt,
}

/// Dev scores after so many steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    pub(crate) step: usize,
    pub(crate) scores: Scores,
}

impl State {
    /// Before the first step.
    pub(crate) fn new(prompt: SoftPrompt, config: &TrainConfig) -> Self {
        Self {
            prompt,
            optimizer: adafactor(config),
            best: None,
            losses: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Whether a prompt with this mean of the metrics would be the best so far.
    pub(crate) fn would_be_best(&self, mean: f64) -> bool {
        self.best.as_ref().is_none_or(|best| mean > best.mean)
    }

    /// Mean loss of the last tenth of the steps.
    pub(crate) fn final_loss(&self) -> f64 {
        let losses = &self.losses;
        let tenth = &losses[losses.len() - losses.len().div_ceil(10)..];
        tenth.iter().sum::<f64>() / tenth.len() as f64
    }
}
