//! What follows from a configuration and the shape of its model, resolved once: no files, no tensors.

use std::ops::Range;

use fpt_schedule::cost::BatchShape;
use fpt_schedule::{ModelShape, PartialSize, Reduce, Schedule, Share};
use fpt_tasks::{Lengths, Split, Stacks, Task};

use crate::{EvalModel, RunConfig, TrainError};

/// What a run will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The full model.
    pub shape: ModelShape,
    /// The stages as the schedule has them.
    pub schedule: Schedule,
    /// The same, with what the loop needs of each.
    pub stages: Vec<PlannedStage>,
    /// Optimizer steps of all stages.
    pub steps: usize,
    /// Which model is judged.
    pub evaluated: EvalModel,
    /// Whether the run measures what others are compared with: the frozen model without a prompt, and the reported
    /// score of every prompt that was the best so far.
    pub is_reference: bool,
    /// The split whose scores are reported.
    pub report: Split,
    /// Where texts are cut; the target's limit also limits generation.
    pub limits: Lengths,
    /// The largest batch that the configuration allows: as many of the longest examples as fit.
    pub largest_batch: BatchShape,
    /// Steps between evaluations.
    evaluate_every: usize,
}

/// A stage of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStage {
    /// Its place, from 0.
    pub number: usize,
    /// Its steps, counted from 0 over all stages.
    pub steps: Range<usize>,
    /// How much of the model it trains on.
    pub size: PartialSize,
    /// Its batches, as a share of those of the run.
    pub batch: Share,
    /// Sources are cut to so many tokens, where the stage limits them.
    pub max_source: Option<usize>,
}

impl Plan {
    /// The plan of `config`, whose task is `task`, for a model of this shape.
    ///
    /// # Errors
    /// [`TrainError::Schedule`] names the key.
    pub fn new(
        config: &RunConfig,
        task: &dyn Task,
        shape: &ModelShape,
    ) -> Result<Self, TrainError> {
        let reduce = default_reduce(task);
        let schedule = config.schedule.resolve(shape, config.train.steps, reduce)?;
        let full = shape.full();
        let is_full = |stage: &fpt_schedule::Stage| stage.size == full;
        let ends_full = schedule.stages().last().is_none_or(is_full);
        let natural = if ends_full {
            EvalModel::Full
        } else {
            EvalModel::Stage
        };
        let mut start = 0;
        let stages = schedule.stages().iter().enumerate();
        let stages = stages
            .map(|(number, stage)| {
                let steps = start..start + stage.steps;
                start = steps.end;
                PlannedStage {
                    number,
                    steps,
                    size: stage.size,
                    batch: stage.batch,
                    max_source: stage.max_source,
                }
            })
            .collect();
        Ok(Self {
            stages,
            steps: schedule.steps(),
            evaluated: config.eval.model.unwrap_or(natural),
            is_reference: config
                .eval
                .reference
                .unwrap_or_else(|| schedule.stages().iter().all(is_full)),
            report: config.eval.reported(task),
            limits: config.limits(task),
            largest_batch: config.largest_batch(task),
            evaluate_every: config.eval.every,
            shape: *shape,
            schedule,
        })
    }

    /// Whether the prompt is evaluated after so many steps.
    pub(crate) fn evaluates_after(&self, steps: usize) -> bool {
        steps.is_multiple_of(self.evaluate_every) || steps == self.steps
    }

    /// Whether a stage trains on the full model.
    pub fn is_full(&self, stage: &PlannedStage) -> bool {
        stage.size == self.shape.full()
    }

    /// Whether the last stage trains on the full model.
    pub(crate) fn ends_full(&self) -> bool {
        self.stages.last().is_none_or(|stage| self.is_full(stage))
    }
}

impl RunConfig {
    /// Where texts are cut, in tokens: as configured, and targets else as the task has it.
    pub fn limits(&self, task: &dyn Task) -> Lengths {
        let lengths = &self.lengths;
        Lengths {
            max_source: lengths.max_source,
            max_target: lengths
                .max_target
                .unwrap_or_else(|| task.max_target_length()),
        }
    }

    fn largest_batch(&self, task: &dyn Task) -> BatchShape {
        let Lengths {
            max_source,
            max_target,
        } = self.limits(task);
        let fit = |tokens: usize| self.train.batch_size.min((tokens / max_source).max(1));
        BatchShape {
            rows: self.train.batch_tokens.map_or(self.train.batch_size, fit),
            source: max_source,
            target: max_target,
            prompt: self.prompt.length,
        }
    }
}

/// What a task reduces where the schedule does not say it.
fn default_reduce(task: &dyn Task) -> Reduce {
    match task.reduced_stacks() {
        Stacks::Encoder => Reduce::Encoder,
        Stacks::Both => Reduce::Both,
    }
}

#[cfg(test)]
mod tests {
    use fpt_schedule::cost::PAPER_TASKS;
    use fpt_tasks::Tasks;

    use super::*;

    /// `fpt-schedule` knows no tasks, so it has a list of its own.
    #[test]
    fn the_tasks_of_the_papers_count_are_the_tasks() {
        let tasks = Tasks::paper();
        let ours = tasks.iter().map(|task| {
            let target = task.paper().map(|figures| figures.flops_target);
            (task.name().to_string(), target, default_reduce(task))
        });
        let theirs = PAPER_TASKS
            .iter()
            .map(|task| (task.name.to_string(), Some(task.target), task.reduce));
        assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
    }

    #[test]
    fn labels_that_are_passed_over_are_those_that_pad() {
        assert_eq!(fpt_tasks::IGNORED_LABEL, fpt_t5::IGNORED_LABEL);
    }
}
