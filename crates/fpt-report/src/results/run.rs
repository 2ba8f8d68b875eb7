//! A finished run as the report needs it: what it is called by, and its curves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fpt_schedule::{Method, ScheduleConfig};
use fpt_tasks::TaskName;
use fpt_train::{Fingerprints, FinishedRun, MetricRecord, RunNotes};

use crate::ReportError;

/// A run and the metrics of its steps.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it was and what came of it.
    pub finished: FinishedRun,
    /// The lines of its `metrics.jsonl`.
    pub metrics: Vec<MetricRecord>,
    /// What it read, by content.
    pub inputs: Fingerprints,
}

impl Run {
    /// All finished runs directly below `directory`, by name. What is not complete, or was set aside, is none.
    pub(super) fn all(directory: &Path) -> Result<Vec<Self>, ReportError> {
        let failed = |source| ReportError::Read {
            path: directory.to_path_buf(),
            source,
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // A run that has lost its result is one, and damaged.
            let marks = ["result.json", "SHA256SUMS"];
            let is_run = marks.iter().any(|mark| path.join(mark).is_file());
            if is_run && !is_out_of_the_way(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The finished run in `directory`.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(directory: &Path) -> Result<Self, ReportError> {
        let finished = FinishedRun::read(directory)?;
        let metrics = finished.metrics()?;
        let inputs = finished.inputs()?;
        Ok(Self {
            finished,
            metrics,
            inputs,
        })
    }

    /// That runs which are compared read the same: one model, and one set of files for each task.
    ///
    /// # Errors
    /// [`ReportError::Inputs`] names the first that did not.
    pub(crate) fn check_inputs<'a>(
        runs: impl Iterator<Item = &'a Self>,
    ) -> Result<(), ReportError> {
        let mut first: Option<&Self> = None;
        let mut of_task: HashMap<&TaskName, &Self> = HashMap::new();
        for run in runs {
            let first = *first.get_or_insert(run);
            let of_task = *of_task.entry(run.task()).or_insert(run);
            let model = first.inputs.model_differences(&run.inputs);
            let data = of_task.inputs.data_differences(&run.inputs);
            let (other, differences) = if model.is_empty() {
                (of_task, data)
            } else {
                (first, model)
            };
            if !differences.is_empty() {
                return Err(ReportError::Inputs {
                    first: other.finished.directory.clone(),
                    second: run.finished.directory.clone(),
                    differences,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn task(&self) -> &TaskName {
        &self.finished.config.task
    }

    pub(crate) fn seed(&self) -> u64 {
        self.finished.config.seed
    }

    pub(super) fn schedule(&self) -> &ScheduleConfig {
        &self.finished.config.schedule
    }

    /// Prompt tuning, where the schedule says nothing; `None` for a schedule of stages of its own.
    pub(super) fn method(&self) -> Option<Method> {
        let schedule = &self.finished.config.schedule;
        if schedule.stages.is_empty() {
            Some(schedule.method.unwrap_or(Method::Pt))
        } else {
            None
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.method() == Some(Method::Pt)
    }

    /// The reported score of the prompt that was the best so far, over FLOPs: after nothing, the bare model's.
    pub(super) fn reported_curve(&self) -> Vec<(f64, f64)> {
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
    pub(super) fn dev_curve(&self) -> Vec<(f64, f64)> {
        let points = self.metrics.iter().filter_map(|record| match record {
            MetricRecord::Eval { flops, dev, .. } => Some((*flops, dev.primary_value())),
            _ => None,
        });
        points.collect()
    }

    /// The best dev score of its evaluations during training.
    pub(crate) fn best_on_the_way(&self) -> f64 {
        let scores = self.dev_curve().into_iter().map(|(_, score)| score);
        scores.fold(0.0, f64::max)
    }

    /// Steps after which it first had this dev score, `None` if it never had.
    pub(crate) fn steps_to(&self, wanted: f64) -> Option<usize> {
        self.metrics.iter().find_map(|record| match record {
            MetricRecord::Eval { step, dev, .. } if dev.primary_value() >= wanted => Some(*step),
            _ => None,
        })
    }

    /// The runs of prompt tuning that a run of its task is compared with, of these. Where prompt tuning is there with several
    /// settings, it is the one with the same; there may be none then.
    pub(super) fn plain_of_task<'a>(&self, runs: &'a [Self]) -> Vec<&'a Self> {
        let of_task = |run: &&Self| run.is_plain() && run.task() == self.task();
        let plain: Vec<&Self> = runs.iter().filter(of_task).collect();
        if plain
            .windows(2)
            .all(|pair| pair[0].schedule() == pair[1].schedule())
        {
            return plain;
        }
        let settings = |run: &Self| {
            let mut config = run.finished.config.clone();
            config.schedule = ScheduleConfig::default();
            config.seed = 0;
            config.run = RunNotes::default();
            config
        };
        let ours = settings(self);
        let same = |run: &&Self| settings(run) == ours;
        plain.into_iter().filter(same).collect()
    }

    /// That with the same seed.
    pub(super) fn plain_among<'a>(&self, runs: &'a [Self]) -> Option<&'a Self> {
        let plain = self.plain_of_task(runs);
        plain.into_iter().find(|other| other.seed() == self.seed())
    }

    /// FLOPs at which a stage gives way to the next.
    pub(super) fn boundaries(&self) -> Vec<f64> {
        let stages = &self.finished.result.stages;
        let ends = stages.iter().scan(0.0, |sum, stage| {
            *sum += stage.flops;
            Some(*sum)
        });
        ends.take(stages.len().saturating_sub(1)).collect()
    }
}

/// Whether a directory has the name of a run that is not complete, or holds what was set aside.
fn is_out_of_the_way(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".partial") || name == "set-aside"
}
