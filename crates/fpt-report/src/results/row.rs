//! What the runs of a method come to, over tasks and seeds.

use std::collections::BTreeMap;

use fpt_schedule::{Method, ScheduleConfig};
use fpt_tasks::TaskName;
use fpt_train::EvalModel;
use serde::Serialize;

use super::Run;
use crate::stats::{PairedTest, Summary, deviation, interpolate, mean};

/// What a method comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name in the tables.
    pub label: String,
    /// The method; `None` for a schedule of stages of its own.
    #[serde(skip)]
    pub method: Option<Method>,
    /// Whether its scores are the full model's, not a partial one's.
    pub on_full_model: bool,
    /// Its outcome on each task.
    pub tasks: BTreeMap<TaskName, Entry>,
    /// Mean over the tasks of prompt tuning, if it has them all.
    pub average: Option<f64>,
    /// Standard deviation over seeds of that mean, from two seeds that have all of the tasks.
    pub average_deviation: Option<f64>,
    /// Mean over the tasks of FLOPs, percent of prompt tuning's.
    pub flops_percent: Option<f64>,
    /// Mean over the tasks of training seconds, percent of prompt tuning's.
    pub wall_percent: Option<f64>,
    /// Against prompt tuning stopped at the same FLOPs, for progressive training.
    pub improve: Option<Improve>,
}

/// What a method comes to on a task.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The metric of the paper's tables.
    pub metric: String,
    /// What answers without reading, such as `majority`.
    pub baseline_name: String,
    /// Its score on the reported split, percent.
    pub baseline: f64,
    /// The frozen model without a prompt, where it was measured.
    pub no_prompt: Option<f64>,
    /// The best prompt on dev, percent.
    pub dev: Summary,
    /// The same prompt on the reported split, percent.
    pub reported: Summary,
    /// Where `reported` is of a partial model: the same prompts before the full model.
    pub reported_full: Option<Summary>,
    /// Optimizer steps.
    pub steps: usize,
    /// FLOPs of training, forward and backward.
    pub flops: f64,
    /// FLOPs, percent of prompt tuning's.
    pub flops_percent: Option<f64>,
    /// Mean seconds of training.
    pub train_seconds: f64,
    /// Seconds of training, percent of prompt tuning's.
    pub wall_percent: Option<f64>,
    /// Mean seconds of all: loading, scoring, training and evaluating.
    pub total_seconds: f64,
    /// The largest peak of memory, megabytes.
    pub peak_memory_mb: Option<f64>,
    /// The run directories.
    pub runs: Vec<String>,
}

/// A gain over prompt tuning stopped at the same FLOPs, points.
#[derive(Clone, Debug, Serialize)]
pub struct Improve {
    /// Mean over tasks of the means over their seeds.
    pub mean: f64,
    /// Over seeds, as claims are judged: a pair is a seed that all tasks have, its gain the mean over them. From two on.
    pub over_seeds: Option<PairedTest>,
    /// Over tasks: a pair is a task, its gain the mean over its seeds, which are no pairs of their own. From two on.
    pub over_tasks: Option<PairedTest>,
}

impl Row {
    pub(super) fn of(schedule: &ScheduleConfig, runs: &[Run], tasks: &[TaskName]) -> Self {
        let own: Vec<&Run> = runs
            .iter()
            .filter(|run| run.schedule() == schedule)
            .collect();
        let entries: BTreeMap<TaskName, Entry> = tasks
            .iter()
            .filter_map(|task| Some((task.clone(), Entry::of(&own, runs, task)?)))
            .collect();
        // An average over other tasks than prompt tuning's would say nothing.
        let plain: Vec<&Run> = runs.iter().filter(|run| run.is_plain()).collect();
        let has_plain = |task: &&TaskName| plain.iter().any(|run| run.task() == *task);
        let wanted: Vec<&TaskName> = tasks.iter().filter(has_plain).collect();
        let complete = !wanted.is_empty() && wanted.iter().all(|task| entries.contains_key(task));
        let over_tasks = |value: &dyn Fn(&Entry) -> Option<f64>| -> Option<f64> {
            let values: Option<Vec<f64>> = wanted.iter().map(|t| value(entries.get(t)?)).collect();
            values.filter(|_| complete).map(|values| mean(&values))
        };
        let method = own.first().and_then(|run| run.method());
        let on_full_model = own
            .iter()
            .all(|run| run.finished.result.evaluated == EvalModel::Full);
        let mut row = Self {
            average: over_tasks(&|entry| Some(entry.reported.mean)),
            average_deviation: complete.then(|| average_deviation(&own, &wanted)).flatten(),
            flops_percent: over_tasks(&|entry| entry.flops_percent),
            wall_percent: over_tasks(&|entry| entry.wall_percent),
            improve: None,
            tasks: entries,
            label: schedule.label(),
            on_full_model,
            method,
        };
        if row.is_progressive() {
            row.improve = Improve::of(&own, runs);
        }
        row
    }
}

/// Of the mean score over these tasks, over the seeds that have them all.
fn average_deviation(own: &[&Run], tasks: &[&TaskName]) -> Option<f64> {
    let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in own.iter().filter(|run| tasks.contains(&run.task())) {
        let score = run.finished.result.reported.primary_value();
        by_seed.entry(run.seed()).or_default().push(score);
    }
    let whole = by_seed
        .values()
        .filter(|scores| scores.len() == tasks.len());
    deviation(&whole.map(|scores| mean(scores)).collect::<Vec<_>>())
}

impl Row {
    /// Whether it ends on the full model and is no plain prompt tuning.
    pub(super) fn is_progressive(&self) -> bool {
        self.on_full_model && matches!(self.method, Some(Method::Fpt(..)) | None)
    }
}

impl Entry {
    fn of(own: &[&Run], runs: &[Run], task: &TaskName) -> Option<Self> {
        let own: Vec<&Run> = own
            .iter()
            .copied()
            .filter(|run| run.task() == task)
            .collect();
        let first = &own.first()?.finished.result;
        let all = |value: &dyn Fn(&Run) -> f64| -> Vec<f64> {
            own.iter().map(|run| value(run)).collect()
        };
        let flops = mean(&all(&|run| run.finished.result.flops));
        let seconds = mean(&all(&|run| run.finished.result.seconds.train));
        let plain = own.first()?.plain_of_task(runs);
        let percent = |ours: f64, value: &dyn Fn(&Run) -> f64| {
            let theirs: Vec<f64> = plain.iter().map(|run| value(run)).collect();
            (!theirs.is_empty()).then(|| 100.0 * ours / mean(&theirs))
        };
        let full: Option<Vec<f64>> = own
            .iter()
            .map(|run| Some(run.finished.result.reported_full.as_ref()?.primary_value()))
            .collect();
        Some(Self {
            metric: first.metric.clone(),
            baseline_name: first.baseline.name.clone(),
            baseline: first.baseline.value,
            no_prompt: first
                .no_prompt
                .as_ref()
                .map(|scores| scores.primary_value()),
            dev: Summary::of(all(&|run| run.finished.result.dev.primary_value())),
            reported: Summary::of(all(&|run| run.finished.result.reported.primary_value())),
            reported_full: full.map(Summary::of),
            steps: first.steps,
            flops,
            flops_percent: percent(flops, &|run| run.finished.result.flops),
            train_seconds: seconds,
            wall_percent: percent(seconds, &|run| run.finished.result.seconds.train),
            total_seconds: mean(&all(&|run| {
                let seconds = &run.finished.result.seconds;
                seconds.load + seconds.score + seconds.train + seconds.evaluate
            })),
            peak_memory_mb: own
                .iter()
                .filter_map(|run| run.finished.result.peak_memory)
                .max()
                .map(|bytes| bytes as f64 / 1e6),
            runs: own
                .iter()
                .map(|run| run.finished.directory.display().to_string())
                .collect(),
        })
    }
}

/// What `run` gains over `plain` stopped at the same FLOPs, points; `None` if that has no reported scores on its way.
pub(crate) fn improve(run: &Run, plain: &Run) -> Option<f64> {
    let result = &run.finished.result;
    let stopped = interpolate(&plain.reported_curve(), result.flops)?;
    Some(result.reported.primary_value() - stopped)
}

impl Improve {
    /// `+1.25 ± 0.50`, the error over seeds.
    pub(super) fn text(&self) -> String {
        let over_seeds = self.over_seeds.as_ref();
        let error = over_seeds.and_then(PairedTest::standard_error);
        let error = error.map(|error| format!(" ± {error:.2}"));
        format!("{:+.2}{}", self.mean, error.unwrap_or_default())
    }

    /// Each run against prompt tuning with the same task and seed, stopped at the same FLOPs.
    fn of(own: &[&Run], runs: &[Run]) -> Option<Self> {
        let mut by_task: BTreeMap<&TaskName, Vec<f64>> = BTreeMap::new();
        let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for run in own {
            if let Some(gain) = run.plain_among(runs).and_then(|plain| improve(run, plain)) {
                by_task.entry(run.task()).or_default().push(gain);
                by_seed.entry(run.seed()).or_default().push(gain);
            }
        }
        let of_tasks: Vec<f64> = by_task.values().map(|gains| mean(gains)).collect();
        // A mean over some of the tasks is no seed's.
        let whole = by_seed
            .values()
            .filter(|gains| gains.len() == by_task.len());
        let of_seeds: Vec<f64> = whole.map(|gains| mean(gains)).collect();
        (!of_tasks.is_empty()).then(|| Self {
            mean: mean(&of_tasks),
            over_seeds: PairedTest::among(&of_seeds),
            over_tasks: PairedTest::among(&of_tasks),
        })
    }
}
