//! Everything that changes while a prompt is trained.

use std::time::Duration;

use burn::optim::ModuleOptimizer;
use fpt_prompt::SoftPrompt;
use fpt_tasks::Scores;
use serde::{Deserialize, Serialize};

use crate::average::Averaged;
use crate::{StageRecord, TrainConfig, adafactor};

/// After so many setbacks in a row it is not for a few bad batches that training goes wrong.
const MOST_SETBACKS: usize = 10;

/// Where a training stands. Prompt and optimizer are all that survives a stage. What is drawn at random, the order of
/// the examples, follows from seed and step.
pub(crate) struct State {
    /// The prompt as it is now, on the autodiff device.
    pub(crate) prompt: SoftPrompt,
    /// Its optimizer.
    pub(crate) optimizer: ModuleOptimizer,
    /// The mean of the prompts, if one is wanted.
    pub(crate) averaged: Averaged,
    /// The best prompt so far, if any was evaluated.
    pub(crate) best: Option<Best>,
    /// Loss of each step.
    pub(crate) losses: Vec<f64>,
    /// Where to go back to from a step that went wrong, if the run is to.
    pub(crate) anchor: Option<Anchor>,
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
    /// Evaluations in a row, of the current stage, that brought no better prompt.
    #[serde(default)]
    pub(crate) no_better: usize,
    /// The stages that are finished.
    pub(crate) stages: Vec<StageRecord>,
    /// Floating-point operations of all steps so far, forward and backward.
    pub(crate) flops: f64,
    /// Tokens of sources and targets that all steps so far were trained on, padding not counted.
    #[serde(default)]
    pub(crate) tokens: u64,
    /// Time of training: steps, and making the models of the stages.
    pub(crate) training: Duration,
    /// Time of evaluations.
    pub(crate) evaluating: Duration,
    /// The frozen model without a prompt, once it was evaluated.
    pub(crate) no_prompt: Option<Scores>,
    /// Batches that are no step's: training went back behind a step that went wrong, and on with the batch after its.
    #[serde(default)]
    pub(crate) skipped_batches: usize,
    /// How often training went back to where it would go back to now.
    #[serde(default)]
    pub(crate) setbacks: usize,
}

impl Counters {
    /// Batches that were trained on, those of undone steps included: the next one's place in the order of the data. It
    /// only grows.
    pub(crate) fn batches(&self) -> usize {
        self.step + self.skipped_batches
    }
}

/// What a step and those after it changed.
#[derive(Clone)]
pub(crate) struct Anchor {
    /// Steps taken before.
    pub(crate) step: usize,
    /// The prompt before, on the autodiff device.
    pub(crate) prompt: SoftPrompt,
    /// Its optimizer.
    pub(crate) optimizer: ModuleOptimizer,
    /// The mean of the prompts.
    pub(crate) averaged: Averaged,
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
            averaged: Averaged::default(),
            best: None,
            losses: Vec::new(),
            anchor: None,
            counters: Counters::default(),
        }
    }

    /// Whether a prompt with this mean of the metrics would be the best so far.
    pub(crate) fn would_be_best(&self, mean: f64) -> bool {
        self.best.as_ref().is_none_or(|best| mean > best.mean)
    }

    /// Steps that go wrong from now on are undone back to here.
    pub(crate) fn hold(&mut self) {
        let step = self.counters.step;
        if self.anchor.as_ref().is_none_or(|anchor| anchor.step < step) {
            self.counters.setbacks = 0;
        }
        self.anchor = Some(Anchor {
            step,
            prompt: self.prompt.clone(),
            optimizer: self.optimizer.clone(),
            averaged: self.averaged.clone(),
        });
    }

    /// Undo `step`, which went wrong, and all since [`State::hold`], if that is not the same setback over and over again.
    /// Returns after how many steps training goes on, with the batch after that of `step`.
    pub(crate) fn go_back(&mut self, step: usize) -> Option<usize> {
        let anchor = self.anchor.clone()?;
        let counters = &mut self.counters;
        if counters.setbacks == MOST_SETBACKS {
            return None;
        }
        counters.setbacks += 1;
        counters.skipped_batches += step - anchor.step;
        counters.step = anchor.step;
        self.losses.truncate(anchor.step);
        (self.prompt, self.optimizer) = (anchor.prompt, anchor.optimizer);
        self.averaged = anchor.averaged;
        Some(anchor.step)
    }

    /// Mean loss of the last tenth of the steps.
    pub(crate) fn final_loss(&self) -> f64 {
        let losses = &self.losses;
        let tenth = &losses[losses.len() - losses.len().div_ceil(10)..];
        tenth.iter().sum::<f64>() / tenth.len() as f64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};
    use fpt_lab::Lab;
    use fpt_tasks::TaskName;

    use super::*;
    use crate::Experiment;

    fn step(state: &mut State, gradient: f32) {
        let prompt = state.prompt.clone();
        let device = Device::flex();
        let gradient = Tensor::<2>::full(prompt.shape(), gradient, &device);
        let mut gradients = GradientsParams::new();
        gradients.register(prompt.weight.id, gradient);
        state.prompt = state.optimizer.step(0.1, prompt, gradients);
        state.counters.step += 1;
        state.losses.push(1.0);
    }

    #[test]
    fn what_is_undone_has_left_no_trace() {
        let lab = Lab::new();
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        let config = experiment.run(&TaskName::MNLI, 0, &[]).unwrap().train;
        let device = Device::flex().autodiff();
        let prompt = SoftPrompt::from_values(vec![0.5; 12], [3, 4], &device);
        let mut state = State::new(prompt, &config);
        step(&mut state, 0.25);
        let (values, optimizer) = (state.prompt.values(), state.optimizer.into_bytes().unwrap());

        state.hold();
        step(&mut state, 2.0);
        step(&mut state, f32::NAN);
        assert!(state.prompt.values()[0].is_nan());
        assert_eq!(state.go_back(3), Some(1));
        assert!(state.prompt.values() == values);
        assert!(state.optimizer.into_bytes().unwrap()[..] == optimizer[..]);
        let counters = &state.counters;
        assert_eq!((counters.step, counters.batches()), (1, 3));
        assert_eq!(state.losses.len(), 1);

        // The optimizer still knows its prompt.
        step(&mut state, 0.25);
        assert!(state.prompt.values() != values);
        // Held anew further on, the setbacks before do not count.
        state.hold();
        for _ in 0..MOST_SETBACKS {
            step(&mut state, f32::NAN);
            assert_eq!(state.go_back(3), Some(2));
            state.hold();
        }
        step(&mut state, f32::NAN);
        assert_eq!(state.go_back(3), None);
    }
}
