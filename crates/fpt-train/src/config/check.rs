//! Values that make no sense.

use super::{RunConfig, TrainConfig};
use crate::TrainError;

impl RunConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        for (key, value) in [
            ("prompt.length", self.prompt.length),
            ("train.steps", self.train.steps),
            ("train.batch_size", self.train.batch_size),
            ("train.accumulate", self.train.accumulate),
            ("train.batch_tokens", self.train.batch_tokens.unwrap_or(1)),
            ("eval.batch_tokens", self.eval.batch_tokens.unwrap_or(1)),
            ("eval.every", self.eval.every),
            ("eval.batch_size", self.eval.batch_size),
            ("eval.dev_examples", self.eval.dev_examples.unwrap_or(1)),
            ("selection.score.examples", self.selection.score.examples),
            (
                "selection.score.batch_size",
                self.selection.score.batch_size,
            ),
            ("lengths.max_source", self.lengths.max_source),
            ("lengths.max_target", self.lengths.max_target.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(TrainError::Value {
                    key,
                    reason: "must be at least 1".into(),
                });
            }
        }
        let TrainConfig {
            accumulate,
            batch_size,
            ..
        } = self.train;
        if accumulate > batch_size {
            return Err(TrainError::Value {
                key: "train.accumulate",
                reason: format!(
                    "is {accumulate}, more parts than a batch has examples; `train.batch_size` is {batch_size}"
                ),
            });
        }
        let positive = [
            ("train.learning_rate", self.train.learning_rate),
            ("train.gradient_clip", f64::from(self.train.gradient_clip)),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(TrainError::Value {
                    key,
                    reason: format!("is {value}, but must be a positive number"),
                });
            }
        }
        if !(self.train.weight_decay.is_finite() && self.train.weight_decay >= 0.0) {
            return Err(TrainError::Value {
                key: "train.weight_decay",
                reason: format!("is {}, but must not be negative", self.train.weight_decay),
            });
        }
        Ok(())
    }
}
