//! What run directories come to: read, summed up, and written as tables, JSON, CSV and a page.

mod equal_cost;
mod learning;
mod links;
mod looks;
mod origin;
mod page;
mod paper;
mod row;
mod run;
mod run_page;
mod settings;
mod start;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

use fpt_schedule::ScheduleConfig;
use fpt_tasks::{Split, TaskName};
use serde::Serialize;

pub use links::PAGES;
pub use origin::{COMMAND, Origin};
pub(crate) use row::improve;
pub use row::{Entry, Improve, Row};
pub use run::Run;
pub use start::Start;
pub use tables::{Table, TableCell};
pub use write::{FILES, Report, write};

use crate::ReportError;

/// Everything that the runs of a directory show.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The tasks, in the paper's order.
    pub tasks: Vec<TaskName>,
    /// The split whose scores are reported.
    pub split: Split,
    /// A row a method, in the paper's order.
    pub rows: Vec<Row>,
    /// Where the runs come from.
    pub origin: Origin,
    /// Trainings that started from the prompts of others.
    pub starts: Vec<Start>,
    /// The runs themselves.
    #[serde(skip)]
    pub runs: Vec<Run>,
    /// The runs that `starts` are of.
    #[serde(skip)]
    pub started: Vec<Run>,
}

impl Results {
    /// All finished runs directly below `directory`.
    ///
    /// # Errors
    /// If there is none, one is damaged, two are the same run, or they report different splits or read different inputs.
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, ReportError> {
        let directory = directory.as_ref();
        let mut runs = Run::all(directory)?;
        let Some(split) = runs.first().map(|run| run.finished.result.split) else {
            let directory = directory.to_path_buf();
            return Err(if directory.join("result.json").is_file() {
                ReportError::IsRun { directory }
            } else {
                ReportError::NoRuns { directory }
            });
        };
        let reports_another = |run: &&Run| run.finished.result.split != split;
        if let (Some(other), Some(first)) = (runs.iter().find(reports_another), runs.first()) {
            return Err(ReportError::Splits {
                first: first.finished.directory.clone(),
                split,
                second: other.finished.directory.clone(),
                other: other.finished.result.split,
            });
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
            return Err(ReportError::SameRun {
                first: a.finished.directory.clone(),
                second: b.finished.directory.clone(),
            });
        }
        let init = directory.join("init");
        let started = if init.is_dir() {
            Run::all(&init)?
        } else {
            Vec::new()
        };
        Run::check_inputs(runs.iter().chain(&started))?;
        let starts = started
            .iter()
            .filter_map(|run| Start::of(run, &runs))
            .collect();
        let origin = Origin::of(directory, &runs)?;
        Ok(Self {
            starts,
            started,
            ..Self::of(split, runs, origin)
        })
    }

    fn of(split: Split, runs: Vec<Run>, origin: Origin) -> Self {
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
        Self {
            tasks,
            split,
            rows,
            origin,
            starts: Vec::new(),
            runs,
            started: Vec::new(),
        }
    }

    /// The runs of a row.
    fn runs_of(&self, row: &Row) -> impl Iterator<Item = &Run> {
        let runs = self.runs.iter();
        runs.filter(|run| run.method() == row.method && run.schedule().label() == row.label)
    }
}
