//! How fast the prompt is moved: the learning rate of each step.

use std::f64::consts::PI;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::TrainConfig;

/// How the learning rate goes on after the warm-up: the schedules of transformers by their names there
/// (`lr_scheduler_type`), over the steps of all stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RateSchedule {
    /// It stays as it is, as in the paper.
    #[default]
    Constant,
    /// It falls to zero, on a straight line.
    Linear,
    /// It falls to zero, on half a wave of the cosine.
    Cosine,
    /// It falls with the square root of the steps, from the warm-up's end on.
    InverseSqrt,
}

/// Steps that count as those of a warm-up in an inverse square root without one, as in transformers.
const TIMESCALE: usize = 10_000;

impl RateSchedule {
    /// The factor on the learning rate after `step` of `steps` steps, `warmup` of them for the warm-up.
    fn factor(self, step: usize, steps: usize, warmup: usize) -> f64 {
        let taken = step.saturating_sub(warmup) as f64;
        let progress = taken / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => (1.0 - progress).max(0.0),
            Self::Cosine => 0.5 * (1.0 + (PI * progress.min(1.0)).cos()),
            Self::InverseSqrt => {
                let timescale = if warmup == 0 { TIMESCALE } else { warmup } as f64;
                (timescale / (taken + timescale)).sqrt()
            }
        }
    }
}

impl TrainConfig {
    /// The learning rate of the step that is taken after `step` of `steps` steps, in a stage of these steps.
    ///
    /// In a warm-up the rate rises in equal parts, up to the whole at its last step; transformers would begin it with a
    /// step at rate 0, which moves nothing.
    pub fn rate(&self, step: usize, steps: usize, stage: &Range<usize>) -> f64 {
        let rise =
            |taken: usize, warmup: usize| ((taken + 1) as f64 / warmup.max(1) as f64).min(1.0);
        let start = rise(step, self.warmup);
        let after_expansion = match stage.start {
            0 => 1.0,
            start => rise(step.saturating_sub(start), self.stage_warmup),
        };
        self.learning_rate
            * start
            * after_expansion
            * self.schedule.factor(step, steps, self.warmup)
    }
}
