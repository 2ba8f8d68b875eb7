//! What run directories come to: read, summed up, and written as tables, JSON, CSV and a page.

mod page;
mod paper;
mod stats;
mod tables;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fpt_prompt::PromptInit;
use fpt_schedule::{Method, ScheduleConfig};
use fpt_tasks::TaskName;
use fpt_train::{EvalModel, FinishedRun, MetricRecord};
use serde::Serialize;

use stats::{Summary, deviation, interpolate, mean, sign_flip_test};
pub use write::write;

/// A run and the metrics of its steps.
pub struct Run {
    pub finished: FinishedRun,
    pub metrics: Vec<MetricRecord>,
}

impl Run {
    /// All finished runs directly below `directory`, by name.
    fn all(directory: &Path) -> anyhow::Result<Vec<Self>> {
        let reading = || format!("failed to read {}", directory.display());
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(directory).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            if path.join("result.json").is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(directory: &Path) -> anyhow::Result<Self> {
        let finished = FinishedRun::read(directory)?;
        let metrics = finished.metrics()?;
        Ok(Self { finished, metrics })
    }

    fn task(&self) -> &TaskName {
        &self.finished.config.task
    }

    fn seed(&self) -> u64 {
        self.finished.config.seed
    }

    fn schedule(&self) -> &ScheduleConfig {
        &self.finished.config.schedule
    }

    /// Prompt tuning, where the schedule says nothing; `None` for a schedule of stages of its own.
    fn method(&self) -> Option<Method> {
        let schedule = &self.finished.config.schedule;
        match schedule.stages.is_empty() {
            true => Some(schedule.method.unwrap_or(Method::Pt)),
            false => None,
        }
    }

    fn is_plain(&self) -> bool {
        self.method() == Some(Method::Pt)
    }

    /// The test score of the prompt that was the best so far, over FLOPs: after nothing, the bare model's.
    fn test_curve(&self) -> Vec<(f64, f64)> {
        let start = self.finished.result.no_prompt.as_ref();
        let mut curve = Vec::from_iter(start.map(|scores| (0.0, scores.primary_value())));
        for record in &self.metrics {
            if let MetricRecord::Eval {
                flops, reported, ..
            } = record
            {
                let so_far = curve.last().map(|&(_, score)| score);
                let here = reported.as_ref().map(|scores| scores.primary_value());
                curve.extend(here.or(so_far).map(|score| (*flops, score)));
            }
        }
        curve
    }

    /// The dev score over FLOPs.
    fn dev_curve(&self) -> Vec<(f64, f64)> {
        let points = self.metrics.iter().filter_map(|record| match record {
            MetricRecord::Eval { flops, dev, .. } => Some((*flops, dev.primary_value())),
            _ => None,
        });
        points.collect()
    }

    /// FLOPs at which a stage gives way to the next.
    fn boundaries(&self) -> Vec<f64> {
        let stages = &self.finished.result.stages;
        let ends = stages.iter().scan(0.0, |sum, stage| {
            *sum += stage.flops;
            Some(*sum)
        });
        ends.take(stages.len().saturating_sub(1)).collect()
    }
}

/// Everything that the runs of a directory show.
#[derive(Serialize)]
pub struct Results {
    /// The tasks, in the paper's order.
    pub tasks: Vec<TaskName>,
    /// A row a method, in the paper's order.
    pub rows: Vec<Row>,
    /// Revisions of the program that made the runs.
    pub revisions: Vec<String>,
    /// Trainings that started from the prompts of others.
    pub starts: Vec<Start>,
    #[serde(skip)]
    pub runs: Vec<Run>,
}

/// A training on the full model that started from some prompt.
#[derive(Serialize)]
pub struct Start {
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

/// What a method comes to.
#[derive(Serialize)]
pub struct Row {
    /// Its name in the tables.
    pub label: String,
    #[serde(skip)]
    pub method: Option<Method>,
    /// Whether its scores are the full model's, not a partial one's.
    pub on_full_model: bool,
    /// Its outcome on each task.
    pub tasks: BTreeMap<TaskName, Entry>,
    /// Mean over the tasks of prompt tuning, if it has them all.
    pub average: Option<f64>,
    /// Mean over the tasks of FLOPs, percent of prompt tuning's.
    pub flops_percent: Option<f64>,
    /// Mean over the tasks of training seconds, percent of prompt tuning's.
    pub wall_percent: Option<f64>,
    /// Against prompt tuning stopped at the same FLOPs, for progressive training.
    pub improve: Option<Improve>,
}

/// What a method comes to on a task.
#[derive(Serialize)]
pub struct Entry {
    pub metric: String,
    pub baseline_name: String,
    pub baseline: f64,
    /// The frozen model without a prompt, where it was measured.
    pub no_prompt: Option<f64>,
    pub dev: Summary,
    pub test: Summary,
    /// Where `test` is of a partial model: the same prompts before the full model.
    pub test_full: Option<Summary>,
    pub steps: usize,
    /// FLOPs of training, forward and backward.
    pub flops: f64,
    pub flops_percent: Option<f64>,
    pub train_seconds: f64,
    pub wall_percent: Option<f64>,
    pub total_seconds: f64,
    pub peak_memory_mb: Option<f64>,
    /// The run directories.
    pub runs: Vec<String>,
}

/// A gain over prompt tuning stopped at the same FLOPs, points.
#[derive(Serialize)]
pub struct Improve {
    /// Mean over tasks and seeds.
    pub mean: f64,
    /// Standard error over seeds of the mean over tasks, from two seeds on.
    pub standard_error: Option<f64>,
    /// Exact paired sign-flip test over tasks and seeds.
    pub p: Option<f64>,
    /// Pairs of runs.
    pub pairs: usize,
}

impl Results {
    /// All finished runs directly below `directory`.
    ///
    /// # Errors
    /// If there is none, or one is damaged.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut runs = Run::all(directory)?;
        if runs.is_empty() {
            bail!("{} holds no finished run", directory.display());
        }
        // Explicit stages come after the methods of the paper.
        runs.sort_by_key(|run| {
            let method = run.method();
            let schedule = format!("{:?}", run.schedule());
            let task = run.task().clone();
            (method.is_none(), method, schedule, task, run.seed())
        });
        let same = |pair: &&[Run]| match pair {
            [a, b] => a.schedule() == b.schedule() && a.task() == b.task() && a.seed() == b.seed(),
            _ => false,
        };
        if let Some([a, b]) = runs.windows(2).find(same) {
            bail!(
                "{} and {} are runs of the same schedule, task and seed; keep one of them there",
                a.finished.directory.display(),
                b.finished.directory.display()
            );
        }
        let init = directory.join("init");
        let started = match init.is_dir() {
            true => Run::all(&init)?,
            false => Vec::new(),
        };
        let starts = started
            .iter()
            .filter_map(|run| Start::of(run, &runs))
            .collect();
        Ok(Self::of(runs, starts))
    }

    fn of(runs: Vec<Run>, starts: Vec<Start>) -> Self {
        let mut tasks: Vec<TaskName> = runs.iter().map(|run| run.task().clone()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        // Equal schedules are neighbours after sorting.
        let mut schedules: Vec<&ScheduleConfig> = runs.iter().map(Run::schedule).collect();
        schedules.dedup();
        let rows = schedules
            .into_iter()
            .map(|schedule| Row::of(schedule, &runs, &tasks))
            .collect();
        let mut revisions: Vec<String> = runs
            .iter()
            .map(|run| run.finished.result.revision.clone())
            .collect();
        revisions.sort();
        revisions.dedup();
        Self {
            tasks,
            rows,
            revisions,
            starts,
            runs,
        }
    }
}

impl Start {
    /// Share of plain prompt tuning's final score that has to be reached.
    const SHARE: f64 = 0.95;

    /// `None` where there is no plain prompt tuning to compare with.
    fn of(run: &Run, runs: &[Run]) -> Option<Self> {
        let plain = runs.iter().find(|other| {
            other.is_plain() && other.task() == run.task() && other.seed() == run.seed()
        })?;
        // Of the evaluations during training, which are on the same examples as this run's.
        let best = plain.dev_curve().into_iter().map(|(_, score)| score);
        let wanted = Self::SHARE * best.fold(0.0, f64::max);
        let reached = run.metrics.iter().find_map(|record| match record {
            MetricRecord::Eval { step, dev, .. } if dev.primary_value() >= wanted => Some(*step),
            _ => None,
        });
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
            steps: reached,
            limit: run.finished.result.steps,
            wanted,
            run: run.finished.directory.display().to_string(),
        })
    }
}

impl Row {
    fn of(schedule: &ScheduleConfig, runs: &[Run], tasks: &[TaskName]) -> Self {
        let own: Vec<&Run> = runs
            .iter()
            .filter(|run| run.schedule() == schedule)
            .collect();
        let entries: BTreeMap<TaskName, Entry> = tasks
            .iter()
            .filter_map(|task| Some((task.clone(), Entry::of(&own, runs, task)?)))
            .collect();
        // An average over other tasks than prompt tuning's would say nothing.
        let wanted = tasks.iter().filter(|&task| {
            let plain = |run: &&Run| run.task() == task && run.is_plain();
            runs.iter().any(|run| plain(&run))
        });
        let complete =
            wanted.clone().count() > 0 && wanted.clone().all(|t| entries.contains_key(t));
        let over_tasks = |value: &dyn Fn(&Entry) -> Option<f64>| -> Option<f64> {
            let values: Option<Vec<f64>> = wanted.clone().map(|t| value(entries.get(t)?)).collect();
            values.filter(|_| complete).map(|values| mean(&values))
        };
        let method = own.first().and_then(|run| run.method());
        let on_full_model = own
            .iter()
            .all(|run| run.finished.result.evaluated == EvalModel::Full);
        let progressive =
            on_full_model && !matches!(method, Some(Method::Pt | Method::Partial(..)));
        Self {
            average: over_tasks(&|entry| Some(entry.test.mean)),
            flops_percent: over_tasks(&|entry| entry.flops_percent),
            wall_percent: over_tasks(&|entry| entry.wall_percent),
            improve: progressive.then(|| Improve::of(&own, runs)).flatten(),
            tasks: entries,
            label: schedule.label(),
            on_full_model,
            method,
        }
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
        let plain: Vec<&Run> = runs
            .iter()
            .filter(|run| run.task() == task && run.is_plain())
            .collect();
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
            test: Summary::of(all(&|run| run.finished.result.reported.primary_value())),
            test_full: full.map(Summary::of),
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

impl Improve {
    /// Each run against prompt tuning with the same task and seed, stopped at the same FLOPs.
    fn of(own: &[&Run], runs: &[Run]) -> Option<Self> {
        let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for run in own {
            let plain = runs.iter().find(|other| {
                other.is_plain() && other.task() == run.task() && other.seed() == run.seed()
            });
            let result = &run.finished.result;
            let stopped = plain.and_then(|plain| interpolate(&plain.test_curve(), result.flops));
            if let Some(stopped) = stopped {
                let gain = result.reported.primary_value() - stopped;
                by_seed.entry(run.seed()).or_default().push(gain);
            }
        }
        let gains: Vec<f64> = by_seed.values().flatten().copied().collect();
        let means: Vec<f64> = by_seed.values().map(|gains| mean(gains)).collect();
        (!gains.is_empty()).then(|| Self {
            mean: mean(&gains),
            standard_error: deviation(&means).map(|d| d / (means.len() as f64).sqrt()),
            p: sign_flip_test(&gains),
            pairs: gains.len(),
        })
    }
}
