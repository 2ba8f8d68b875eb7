//! Values that make no sense.

use std::sync::Arc;

use fpt_tasks::{DeclaredTask, PadTo, TaskName, Tasks};

use super::limits::{MOST_AVERAGED, MOST_MULTIPLE};
use super::{Experiment, MOST_EXAMPLES, MOST_STEPS, MOST_TOKENS, RunConfig, TrainConfig};
use crate::{Average, TrainError};

/// A key, its value, the largest that it may have, and what to do instead of more.
type Bound = (&'static str, usize, usize, &'static str);

const STEPS: &str =
    "train longer in several runs, each from the prompt of the one before (`prompt.init`)";
const BATCH: &str = "make more steps, or batches, of fewer examples";
const LENGTH: &str =
    "memory grows with the square of lengths; longer texts are cut to `lengths.max_source`";
const PADDING: &str = "4 or 8 will do, or pad to `fixed` lengths";
const PROMPT: &str = "prompts have 20 to a few hundred vectors";
const NO_LIMIT: &str = "leave it out for no limit";
const DATA: &str = "generate fewer examples";

impl RunConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        check_bounds(&self.bounds())?;
        check_bounds(&self.padding())?;
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
                reason: format!(
                    "is {}, but must be a number that is not negative",
                    self.train.weight_decay
                ),
            });
        }
        self.train.check_average()
    }

    /// What is counted.
    fn bounds(&self) -> [Bound; 14] {
        let (train, eval, score) = (&self.train, &self.eval, &self.selection.score);
        let lengths = &self.lengths;
        let any = usize::MAX;
        let unless_absent = |value: Option<usize>| value.unwrap_or(1);
        let batch_tokens = unless_absent(train.batch_tokens);
        let (eval_tokens, dev) = (
            unless_absent(eval.batch_tokens),
            unless_absent(eval.dev_examples),
        );
        let max_target = unless_absent(lengths.max_target);
        [
            ("prompt.length", self.prompt.length, MOST_TOKENS, PROMPT),
            ("train.steps", train.steps, MOST_STEPS, STEPS),
            ("train.batch_size", train.batch_size, MOST_EXAMPLES, BATCH),
            ("train.accumulate", train.accumulate, MOST_EXAMPLES, BATCH),
            ("train.batch_tokens", batch_tokens, any, NO_LIMIT),
            (
                "train.patience",
                unless_absent(train.patience),
                any,
                NO_LIMIT,
            ),
            ("eval.batch_tokens", eval_tokens, any, NO_LIMIT),
            ("eval.every", eval.every, any, NO_LIMIT),
            ("eval.batch_size", eval.batch_size, MOST_EXAMPLES, BATCH),
            ("eval.dev_examples", dev, any, NO_LIMIT),
            ("selection.score.examples", score.examples, any, NO_LIMIT),
            (
                "selection.score.batch_size",
                score.batch_size,
                MOST_EXAMPLES,
                BATCH,
            ),
            (
                "lengths.max_source",
                lengths.max_source,
                MOST_TOKENS,
                LENGTH,
            ),
            ("lengths.max_target", max_target, MOST_TOKENS, LENGTH),
        ]
    }

    /// How far batches are padded.
    fn padding(&self) -> Vec<Bound> {
        match self.lengths.pad_to {
            // 0 counts as 1.
            PadTo::Multiple(multiple) => vec![(
                "lengths.pad_to.multiple",
                multiple.max(1),
                MOST_MULTIPLE,
                PADDING,
            )],
            PadTo::Fixed { source, target } => [
                ("lengths.pad_to.fixed.source", source),
                ("lengths.pad_to.fixed.target", target),
            ]
            .map(|(key, length)| (key, length.max(1), MOST_TOKENS, LENGTH))
            .into(),
            _ => Vec::new(),
        }
    }
}

impl TrainConfig {
    /// What is averaged.
    fn check_average(&self) -> Result<(), TrainError> {
        match self.average {
            Some(Average::Exponential { decay }) if !(decay > 0.0 && decay < 1.0) => {
                Err(TrainError::Value {
                    key: "train.average.decay",
                    reason: format!(
                        "is {decay}, but must be between 0 and 1: what the mean keeps of itself at each step"
                    ),
                })
            }
            Some(Average::Evaluations { last }) => check_bounds(&[(
                "train.average.last",
                last,
                MOST_AVERAGED,
                "each prompt is held in memory; a longer mean is an exponential one",
            )]),
            _ => Ok(()),
        }
    }
}

impl Experiment {
    /// What concerns no single run.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let transfer = &self.transfer;
        let mut bounds = vec![
            ("transfer.examples", transfer.examples, usize::MAX, NO_LIMIT),
            ("transfer.steps", transfer.steps, MOST_STEPS, STEPS),
            ("transfer.every", transfer.every, usize::MAX, NO_LIMIT),
        ];
        if let Some(generate) = &self.generate {
            bounds.extend(
                [
                    ("generate.train", generate.train),
                    ("generate.dev", generate.dev),
                    ("generate.test", generate.test),
                ]
                .map(|(key, count)| (key, count, MOST_EXAMPLES, DATA)),
            );
        }
        check_bounds(&bounds)
    }

    /// The tasks that there are: those that are programmed, and those that are declared here.
    ///
    /// # Errors
    /// [`TrainError::Declaration`] or [`TrainError::Value`] if a declaration makes no task.
    pub fn registry(&self, programmed: &Tasks) -> Result<Tasks, TrainError> {
        let mut known = programmed.clone();
        for (name, declaration) in self.tasks.declared() {
            let task = DeclaredTask::new(name.clone(), declaration.clone())?;
            known
                .add(Arc::new(task))
                .map_err(|taken| TrainError::Value {
                    key: "tasks",
                    reason: format!("declares one that is known: {taken}"),
                })?;
        }
        Ok(known)
    }

    /// That there is each task that is named: among `programmed`, or declared.
    pub(super) fn check_tasks(&self, programmed: &Tasks) -> Result<(), TrainError> {
        let known = self.registry(programmed)?;
        let named = self.tasks.names().iter().chain(self.task.keys());
        let compared = self.methods.quick.iter().chain(&self.transfer.tasks);
        for name in named.chain(compared) {
            known.get(name)?;
        }
        let needs_data = |name: &&TaskName| !self.tasks.declared().contains_key(*name);
        match self.tasks.names().iter().find(needs_data) {
            Some(task) if self.data.as_os_str().is_empty() => Err(TrainError::Value {
                key: "data",
                reason: format!("is missing: the directory in which the files of {task} lie"),
            }),
            _ => Ok(()),
        }
    }
}

fn check_bounds(bounds: &[Bound]) -> Result<(), TrainError> {
    for &(key, value, most, instead) in bounds {
        if value == 0 {
            return Err(TrainError::Value {
                key,
                reason: "must be at least 1".into(),
            });
        }
        if value > most {
            return Err(TrainError::Value {
                key,
                reason: format!("is {value}, but must be at most {most}: {instead}"),
            });
        }
    }
    Ok(())
}
