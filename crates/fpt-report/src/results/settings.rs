//! Combinations of settings, as a sweep has them: which is the best on dev.

use std::collections::BTreeSet;

use fpt_tasks::TaskName;

use super::tables::{cell, number};
use super::{Results, Row, Table, TableCell};
use crate::stats::mean;

impl Results {
    /// The rows whose schedules have names of their own, the best on dev first; `None` if there are no two of them. Scores of
    /// the reported split are not shown: they are not for choosing.
    pub(crate) fn settings(&self) -> Option<Table> {
        let rows = self.by_dev();
        let mut header = vec!["setting".to_string()];
        header.extend(self.tasks.iter().map(|task| self.column(task)));
        header.extend(["mean", "FLOPs", "train s", "seeds"].map(String::from));
        let lines = rows.iter().map(|(dev, row)| self.line(*dev, row));
        (rows.len() > 1).then(|| Table {
            caption: "Settings, the best on dev first. Scores are of the dev split, which choices are made on, and their \
                      mean is over the tasks; FLOPs and seconds are of the training of one run, mean over tasks and seeds."
                .into(),
            header,
            rows: lines.collect(),
        })
    }

    /// Which of the settings is the best, in a sentence.
    pub(super) fn best_setting(&self) -> Option<String> {
        let rows = self.by_dev();
        let (dev, best) = rows.first().filter(|_| rows.len() > 1)?;
        Some(format!(
            "Of {} settings {} is the best on dev: {:.2} on average.",
            rows.len(),
            best.label,
            (*dev)?
        ))
    }

    /// Those rows with their mean dev scores.
    fn by_dev(&self) -> Vec<(Option<f64>, &Row)> {
        let named: BTreeSet<String> = self
            .runs
            .iter()
            .filter(|run| run.schedule().name.is_some())
            .map(|run| run.schedule().label())
            .collect();
        let rows = self.rows.iter().filter(|row| named.contains(&row.label));
        let mut rows: Vec<(Option<f64>, &Row)> =
            rows.map(|row| (dev(row, &self.tasks), row)).collect();
        // What has not all tasks comes last.
        let score = |dev: Option<f64>| dev.unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|a, b| score(b.0).total_cmp(&score(a.0)));
        rows
    }

    fn line(&self, dev: Option<f64>, row: &Row) -> Vec<TableCell> {
        let mut cells = vec![cell(&row.label)];
        cells.extend(self.tasks.iter().map(|task| match row.tasks.get(task) {
            Some(entry) => TableCell {
                runs: Some(entry.runs.clone()),
                ..cell(entry.dev.text())
            },
            None => cell("-"),
        }));
        let entries = || row.tasks.values();
        let flops: Vec<f64> = entries().map(|entry| entry.flops).collect();
        let seconds: Vec<f64> = entries().map(|entry| entry.train_seconds).collect();
        let seeds = entries().map(|entry| entry.runs.len()).min();
        cells.extend([
            cell(number(dev)),
            cell(format!("{:.2e}", mean(&flops))),
            cell(format!("{:.0}", mean(&seconds))),
            cell(seeds.unwrap_or(0).to_string()),
        ]);
        cells
    }
}

/// Mean dev score over the tasks; `None` if one is missing.
fn dev(row: &Row, tasks: &[TaskName]) -> Option<f64> {
    let scores = tasks.iter().map(|task| Some(row.tasks.get(task)?.dev.mean));
    let scores: Option<Vec<f64>> = scores.collect();
    scores.map(|scores| mean(&scores))
}
