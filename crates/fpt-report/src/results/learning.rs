//! How methods learn: dev scores over the FLOPs spent, a chart a task.

use std::collections::BTreeMap;

use fpt_schedule::Method;
use fpt_tasks::TaskName;
use fpt_train::MetricRecord;

use super::{Results, Run};
use crate::html::{Curves, Panels, Series};
use crate::stats::{deviation, mean};

impl Results {
    /// Prompt tuning and all that ends on the full model, a chart a task with the same axes; `None` without runs.
    pub(super) fn learning(&self) -> Option<Panels> {
        // Of prompt tuning's FLOPs, where every task has it: tasks differ in the length of their texts.
        let percent = self
            .tasks
            .iter()
            .all(|task| self.plain_flops(task).is_some());
        let panels: Vec<Curves> = self
            .tasks
            .iter()
            .filter_map(|task| self.learning_of(task, percent))
            .collect();
        (!panels.is_empty()).then(|| Panels {
            caption: "Dev score while training, by task; mean over seeds, and where there are several, bars of ± a \
                      standard deviation at some points. Open rings are expansions: a stage ends there."
                .into(),
            panels,
            shared: true,
        })
    }

    fn learning_of(&self, task: &TaskName, percent: bool) -> Option<Curves> {
        let unit = match self.plain_flops(task) {
            Some(flops) if percent => flops / 100.0,
            _ => 1.0,
        };
        let rows = self.rows.iter();
        let series = rows
            .filter(|row| !matches!(row.method, Some(Method::Partial(..))))
            .filter_map(|row| {
                let runs: Vec<&Run> = self.runs_of(row).filter(|run| run.task() == task).collect();
                let (points, errors) = mean_by_step(&runs, unit, self.start_on_dev(task));
                (!points.is_empty()).then(|| Series {
                    label: row.label.clone(),
                    look: self.look(row.method, &row.label),
                    points,
                    errors,
                    boundaries: boundaries(&runs, unit),
                })
            });
        let series: Vec<Series> = series.collect();
        let entry = self.rows.iter().find_map(|row| row.tasks.get(task));
        let metric = entry.map_or("score", |entry| &entry.metric);
        (!series.is_empty()).then(|| Curves {
            caption: format!("{task}, {metric}"),
            x_label: if percent {
                "training FLOPs, % of prompt tuning".into()
            } else {
                "training FLOPs".into()
            },
            y_label: "dev score, %".into(),
            series,
        })
    }

    /// The mean FLOPs of prompt tuning on a task.
    fn plain_flops(&self, task: &TaskName) -> Option<f64> {
        let plain = self
            .runs
            .iter()
            .filter(|run| run.is_plain() && run.task() == task);
        let flops: Vec<f64> = plain.map(|run| run.finished.result.flops).collect();
        (!flops.is_empty()).then(|| mean(&flops))
    }
}

/// Where runs of several seeds are after the same steps, as far as all have come: means of FLOPs and scores, and standard
/// deviations of the scores. `start` is the score before the first step.
fn mean_by_step(runs: &[&Run], unit: f64, start: Option<f64>) -> (Vec<(f64, f64)>, Vec<f64>) {
    let mut by_step: BTreeMap<usize, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for run in runs {
        // A step that was undone comes again; the last is what counts.
        let evaluations = run.metrics.iter().filter_map(|record| match record {
            MetricRecord::Eval {
                step, flops, dev, ..
            } => Some((*step, (*flops / unit, dev.primary_value()))),
            _ => None,
        });
        let evaluations: BTreeMap<usize, (f64, f64)> = evaluations.collect();
        for (step, (flops, score)) in evaluations {
            let (all_flops, scores) = by_step.entry(step).or_default();
            all_flops.push(flops);
            scores.push(score);
        }
    }
    let common = by_step
        .values()
        .filter(|(flops, _)| flops.len() == runs.len());
    let first = start.map(|score| ((0.0, score), 0.0));
    let others = common.map(|(flops, scores)| {
        let point = (mean(flops), mean(scores));
        (point, deviation(scores).unwrap_or(0.0))
    });
    first.into_iter().chain(others).unzip()
}

/// Where stages end, on average.
fn boundaries(runs: &[&Run], unit: f64) -> Vec<f64> {
    let of_runs: Vec<Vec<f64>> = runs.iter().map(|run| run.boundaries()).collect();
    let count = of_runs.iter().map(Vec::len).min().unwrap_or(0);
    let nth = |stage| {
        let flops: Vec<f64> = of_runs.iter().map(|ends| ends[stage] / unit).collect();
        mean(&flops)
    };
    (0..count).map(nth).collect()
}
