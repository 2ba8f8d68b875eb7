//! Trainings that started from the prompt of another run.

use std::path::Path;

use fpt_prompt::PromptInit;
use fpt_tasks::TaskName;
use serde::Serialize;

use super::Run;

/// A training on the full model that started from some prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// Its task.
    pub task: TaskName,
    /// Name of the method whose prompt it started from; `fresh` for an untrained one.
    pub from: String,
    /// Steps until it scored 95 % of what plain prompt tuning scores in the end, on dev; `None` if it never did.
    pub steps: Option<usize>,
    /// Steps it had.
    pub limit: usize,
    /// The dev score that it had to reach.
    pub wanted: f64,
    /// Its run directory.
    pub run: String,
}

impl Start {
    /// Share of plain prompt tuning's final score that has to be reached.
    const SHARE: f64 = 0.95;

    /// `None` where there is no plain prompt tuning to compare with.
    pub(super) fn of(run: &Run, runs: &[Run]) -> Option<Self> {
        let plain = run.plain_among(runs)?;
        // Of the evaluations during training, which are on the same examples as this run's.
        let wanted = Self::SHARE * plain.best_on_the_way();
        let from = match &run.finished.config.prompt.init {
            PromptInit::Adapter { path } => {
                // By name: the directory that holds the runs may have moved.
                let name = path.parent().and_then(Path::file_name).unwrap_or_default();
                let named = |run: &&Run| run.finished.directory.file_name() == Some(name);
                match runs.iter().find(named) {
                    Some(source) => source.schedule().label(),
                    None => name.to_string_lossy().into_owned(),
                }
            }
            _ => "fresh".into(),
        };
        Some(Self {
            task: run.task().clone(),
            from,
            steps: run.steps_to(wanted),
            limit: run.finished.result.steps,
            wanted,
            run: run.finished.directory.display().to_string(),
        })
    }
}
