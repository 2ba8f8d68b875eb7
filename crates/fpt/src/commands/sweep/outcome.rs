//! What the combinations of a sweep come to.

use std::collections::BTreeMap;

use fpt::grid::Planned;
use fpt::shell::quoted;
use fpt_report::Summary;
use fpt_tasks::TaskName;
use fpt_train::SweepConfig;
use serde::Serialize;

use super::names::{Names, assignments};

/// The combinations, the best on dev first. The reported split has no part in that.
#[derive(Serialize)]
pub(super) struct Outcome {
    settings: Vec<Tried>,
}

/// A combination and what has come of it.
#[derive(Serialize)]
struct Tried {
    /// What it is called.
    label: String,
    /// What `--set` sets.
    settings: Vec<String>,
    /// Mean over the tasks of the mean dev score over the seeds, percent; absent as long as a run is.
    dev: Option<f64>,
    /// The dev scores of each task.
    tasks: BTreeMap<TaskName, Summary>,
    /// Run directories.
    runs: Vec<String>,
}

impl Outcome {
    /// What the `runs` that are there come to.
    pub(super) fn of(sweep: &SweepConfig, runs: &[Planned], tasks: &[TaskName]) -> Self {
        let names = Names::of(sweep.keys());
        let tried = sweep.combinations().into_iter().map(|combination| {
            let label = names.label(&combination);
            let of_it =
                |run: &&Planned| combination.is_empty() || run.config.schedule.label() == label;
            let own: Vec<&Planned> = runs.iter().filter(of_it).collect();
            let mut scores: BTreeMap<TaskName, Vec<f64>> = BTreeMap::new();
            for run in &own {
                let result = run.finished.as_ref();
                let scores = scores.entry(run.config.task.clone()).or_default();
                scores.extend(result.map(|result| result.dev.primary_value()));
            }
            let whole = |task| {
                scores
                    .get(task)
                    .is_some_and(|of| of.len() == sweep.seeds().len())
            };
            let is_whole = tasks.iter().all(whole);
            let tasks: BTreeMap<TaskName, Summary> = scores
                .into_iter()
                .map(|(task, scores)| (task, Summary::of(scores)))
                .collect();
            let means: Vec<f64> = tasks.values().map(|summary| summary.mean).collect();
            Tried {
                dev: is_whole.then(|| Summary::of(means).mean),
                label,
                settings: assignments(&combination).collect(),
                tasks,
                runs: own
                    .iter()
                    .map(|run| run.directory.display().to_string())
                    .collect(),
            }
        });
        let mut settings: Vec<Tried> = tried.collect();
        // Of equal ones the first remains it; what is not whole comes last.
        let score = |tried: &Tried| tried.dev.unwrap_or(f64::NEG_INFINITY);
        settings.sort_by(|a, b| score(b).total_cmp(&score(a)));
        Self { settings }
    }

    /// The best, with what sets it; nothing if no combination is whole.
    pub(super) fn best(&self) -> Option<String> {
        let best = self.settings.first()?;
        let scores = best.tasks.iter();
        let scores: Vec<_> = scores
            .map(|(task, scores)| format!("{task} {}", scores.text()))
            .collect();
        let sets = best.settings.iter();
        let sets = sets.map(|it| format!(" --set {}", quoted(it)));
        Some(format!(
            "best on dev: {}: {:.2} ({})\nto train with it:{}",
            best.label,
            best.dev?,
            scores.join(", "),
            sets.collect::<String>()
        ))
    }
}
