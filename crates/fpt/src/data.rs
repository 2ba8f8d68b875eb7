//! Whether the data of a run are on this machine, and how they get there.

use std::path::{Path, PathBuf};

use fpt_tasks::{Split, Task, Tasks};
use fpt_train::{Experiment, RunConfig};

/// A file that is not on this machine.
pub struct MissingData {
    /// The split that it holds.
    pub split: Split,
    /// Where it should lie.
    pub path: PathBuf,
    /// The command or the words that tell how to get it.
    pub how: String,
}

/// The files of `splits` that a run would read and that are not there, each once. `experiment` is the run's, and its file.
pub fn missing(
    config: &RunConfig,
    task: &dyn Task,
    splits: &[Split],
    experiment: Option<(&Experiment, &Path)>,
) -> Vec<MissingData> {
    let mut missing: Vec<MissingData> = Vec::new();
    for &split in splits {
        // That there is no such split is told by who reads it.
        let Some(path) = task.path(&config.data, split) else {
            continue;
        };
        if path.exists() || missing.iter().any(|known| known.path == path) {
            continue;
        }
        let made = experiment
            .filter(|(experiment, _)| {
                experiment.generate.is_some() && experiment.data == config.data
            })
            .map(|(_, file)| format!("fpt data generate {}", file.display()));
        let how = made
            .or_else(|| task.how_to_get(&config.data))
            .unwrap_or_else(|| "no source of it is known here; put the file there".into());
        missing.push(MissingData { split, path, how });
    }
    missing
}

/// That the files of `splits` are there: before a model of gigabytes is fetched for them.
///
/// # Errors
/// One that names the first that is not, and tells how to get it.
pub fn require(
    config: &RunConfig,
    splits: &[Split],
    experiment: Option<(&Experiment, &Path)>,
) -> anyhow::Result<()> {
    let task = config.task(&Tasks::paper())?;
    match missing(config, &*task, splits, experiment).first() {
        Some(MissingData { split, path, how }) => Err(anyhow::anyhow!(
            "the {split} split of {} is not on this machine: there is no {}\n  {how}",
            config.task,
            path.display()
        )),
        None => Ok(()),
    }
}

/// [`require`] of all that a training reads.
///
/// # Errors
/// As there.
pub fn require_for_training(
    config: &RunConfig,
    experiment: Option<(&Experiment, &Path)>,
) -> anyhow::Result<()> {
    let task = config.task(&Tasks::paper())?;
    require(config, &of_training(config, &*task), experiment)
}

/// The splits that a training reads.
pub fn of_training(config: &RunConfig, task: &dyn Task) -> [Split; 3] {
    [Split::Train, Split::Dev, config.eval.reported(task)]
}
