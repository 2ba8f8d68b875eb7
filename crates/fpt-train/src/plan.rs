//! The stages of a run: how long each is, and on what part of the model.

use std::path::Path;

use fpt_partial::{Needs, Selection, full_size, shape};
use fpt_schedule::{Reduce, Schedule, cost};
use fpt_t5::T5Config;
use fpt_tasks::{Split, Stacks, Task, TokenizedExample, task};

use crate::{EvalModel, RunConfig, Session, SplitData, TrainError, score_cache};

/// What a task reduces where the schedule does not say it.
pub fn default_reduce(task: &dyn Task) -> Reduce {
    match task.reduced_stacks() {
        Stacks::Encoder => Reduce::Encoder,
        Stacks::Both => Reduce::Both,
    }
}

impl RunConfig {
    /// The schedule for a model.
    ///
    /// # Errors
    /// [`TrainError::Schedule`] names the key; [`TrainError::Name`] if there is no such task.
    pub fn resolve_schedule(&self, model: &T5Config) -> Result<Schedule, TrainError> {
        let reduce = default_reduce(&*task(&self.task)?);
        Ok(self
            .schedule
            .resolve(&shape(model), self.train.steps, reduce)?)
    }

    /// Which model is evaluated.
    pub fn evaluated(&self, schedule: &Schedule, model: &T5Config) -> EvalModel {
        let ends_partial = schedule
            .stages()
            .last()
            .is_some_and(|stage| stage.size != full_size(model));
        self.eval.model.unwrap_or(match ends_partial {
            true => EvalModel::Stage,
            false => EvalModel::Full,
        })
    }

    /// Whether the run measures what others are compared with.
    pub fn is_reference(&self, schedule: &Schedule, model: &T5Config) -> bool {
        let full = full_size(model);
        let plain = schedule.stages().iter().all(|stage| stage.size == full);
        self.eval.reference.unwrap_or(plain)
    }
}

/// What stays of the model in each stage of `schedule`. Scores that are needed are looked for in `cache`, and
/// written there.
///
/// # Errors
/// [`TrainError`] if the model can't be scored or the scores can't be kept.
pub fn selections(
    session: &Session,
    schedule: &Schedule,
    train: &SplitData,
    dev: &SplitData,
    cache: &Path,
) -> Result<Vec<Selection>, TrainError> {
    let config = &session.config.selection;
    let model = session.model.config();
    let stages = schedule.stages();
    let needs = stages
        .iter()
        .map(|stage| config.rules.needs(&stage.size, model));
    let needs = needs.max().unwrap_or(Needs::Nothing);
    let data = match config.score.split {
        Split::Train => train,
        Split::Dev => dev,
        Split::Test => {
            return Err(TrainError::Value {
                key: "selection.score.split",
                reason: "is test, whose answers must not be looked at; take train or dev".into(),
            });
        }
    };
    let sample = sample(&data.tokens, config.score.examples);
    let scores = score_cache::scores(session, needs, &sample, cache)?;
    let select = |stage: &fpt_schedule::Stage| {
        let seed = session.config.seed;
        config
            .rules
            .select(&stage.size, model, scores.as_ref(), seed)
    };
    Ok(stages.iter().map(select).collect::<Result<_, _>>()?)
}

/// At most `count` examples, spread evenly.
fn sample(tokens: &[TokenizedExample], count: usize) -> Vec<&TokenizedExample> {
    let count = count.min(tokens.len());
    (0..count)
        .map(|i| &tokens[i * tokens.len() / count])
        .collect()
}

/// Bytes of a stage's weights.
pub(crate) fn weight_bytes(session: &Session, size: &fpt_partial::PartialSize) -> u64 {
    cost::weight_bytes(&shape(session.model.config()), size, size_of::<f32>())
}
