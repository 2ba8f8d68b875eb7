//! A mean of the prompts along the way, which is steadier than the last of them.

use std::collections::VecDeque;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use fpt_prompt::SoftPrompt;
use serde::{Deserialize, Serialize};

/// Which mean of the prompts is evaluated, and kept if it is the best; training goes on from the prompt itself. Each
/// stage begins one anew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    deny_unknown_fields,
    expecting = "a table with its kind: { kind = \"exponential\", decay = 0.95 } or { kind = \"evaluations\", last = 3 }"
)]
pub enum Average {
    /// An exponential moving average over the steps: `decay` of what it was, the rest of the new prompt. In the first `n`
    /// steps it holds at most `(1 + n) / (10 + n)`, so that it does not cling to where it began.
    Exponential {
        /// Between 0 and 1, such as 0.95.
        decay: f64,
    },
    /// The mean of the prompts at the last evaluations.
    Evaluations {
        /// How many, this one included.
        last: usize,
    },
}

/// What is held for an average.
#[derive(Clone, Debug, Default)]
pub(crate) struct Averaged {
    /// The moving average; or the prompts of the evaluations before, the oldest first. `[length, d_model]`, on the model's
    /// device.
    pub(crate) held: VecDeque<Tensor<2>>,
    /// Steps of the stage that are in it.
    pub(crate) steps: usize,
}

impl Averaged {
    /// A step has moved the prompt.
    pub(crate) fn follow(&mut self, average: Option<Average>, prompt: &SoftPrompt) {
        let Some(Average::Exponential { decay }) = average else {
            return;
        };
        let now = prompt.valid().weight.val();
        let steps = self.steps as f64;
        let decay = decay.min((1.0 + steps) / (10.0 + steps));
        let mean = match self.held.pop_front() {
            Some(mean) => mean * decay + now * (1.0 - decay),
            None => now,
        };
        self.held.push_front(mean);
        self.steps += 1;
    }

    /// What is evaluated of `prompt`, which lies on the model's device.
    pub(crate) fn candidate(&self, average: Option<Average>, prompt: SoftPrompt) -> SoftPrompt {
        let mean = match average {
            None => return prompt,
            Some(Average::Exponential { .. }) => self.held.front().cloned(),
            Some(Average::Evaluations { .. }) => {
                let count = self.held.len() + 1;
                let sum = self.held.iter().cloned().reduce(|sum, next| sum + next);
                sum.map(|sum| (sum + prompt.weight.val()) / count as f64)
            }
        };
        let of_mean = |mean| SoftPrompt {
            weight: Param::from_tensor(mean),
        };
        mean.map_or(prompt, of_mean)
    }

    /// `prompt`, on the model's device, was evaluated.
    pub(crate) fn evaluated(&mut self, average: Option<Average>, prompt: &SoftPrompt) {
        let Some(Average::Evaluations { last }) = average else {
            return;
        };
        self.held.push_back(prompt.weight.val());
        while self.held.len() >= last.max(1) {
            self.held.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn prompt(value: f32) -> SoftPrompt {
        SoftPrompt::from_values(vec![value; 2], [1, 2], &Device::flex().autodiff())
    }

    /// What is evaluated at each of these prompts, evaluated one after the other.
    fn candidates(average: Average, prompts: &[f32]) -> Vec<f32> {
        let average = Some(average);
        let mut averaged = Averaged::default();
        let one = |&value: &f32| {
            averaged.follow(average, &prompt(value));
            let now = prompt(value).valid();
            let candidate = averaged.candidate(average, now.clone());
            averaged.evaluated(average, &now);
            candidate.values()[0]
        };
        prompts.iter().map(one).collect()
    }

    #[test]
    fn a_moving_average_holds_ever_more_of_itself() {
        let average = Average::Exponential { decay: 0.25 };
        // It holds nothing, 2/11, and from then on a quarter.
        let second = 1.0 * 2.0 / 11.0 + 3.0 * 9.0 / 11.0;
        let third = second * 0.25 + 5.0 * 0.75;
        let found = candidates(average, &[1.0, 3.0, 5.0]);
        for (found, wanted) in found.iter().zip([1.0, second, third]) {
            assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        }
    }

    #[test]
    fn the_mean_of_evaluations_is_of_the_last() {
        let average = Average::Evaluations { last: 2 };
        assert_eq!(candidates(average, &[1.0, 3.0, 5.0]), [1.0, 2.0, 4.0]);
    }
}
