use std::path::{Path, PathBuf};

use fpt_tasks::TaskKind;
use fpt_train::{Experiment, RunResult, finished_run};

/// A run of the experiment.
pub struct Planned {
    /// Its task.
    pub task: TaskKind,
    /// Its seed.
    pub seed: u64,
    /// Its directory.
    pub directory: PathBuf,
    /// Its result, if it was finished before.
    pub finished: Option<RunResult>,
}

/// All runs of `tasks` with `seeds` seeds each, below `out`.
pub fn plan(
    experiment: &Experiment,
    tasks: &[TaskKind],
    seeds: u64,
    overrides: &[String],
    out: &Path,
) -> anyhow::Result<Vec<Planned>> {
    let mut runs = Vec::new();
    for seed in 0..seeds {
        for &task in tasks {
            let directory = out.join(format!("{task}-pt-s{seed}"));
            let config = experiment.run(task, seed, overrides)?;
            runs.push(Planned {
                task,
                seed,
                finished: finished_run(&directory, &config)?,
                directory,
            });
        }
    }
    Ok(runs)
}
