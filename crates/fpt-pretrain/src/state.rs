//! All that changes during a run, and the directory that it is resumed from.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use fpt_t5::T5;
use serde::{Deserialize, Serialize};

use crate::files::write_json;
use crate::{LossPoint, PretrainConfig, PretrainError};

/// What `progress.json` holds beside the weights and the optimizer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Progress {
    config: PretrainConfig,
    /// Steps taken.
    pub(crate) step: usize,
    /// Wall-clock seconds of all sittings.
    pub(crate) seconds: f64,
    /// The loss so far.
    pub(crate) curve: Vec<LossPoint>,
}

/// Weights on their autodiff device, the optimizer's moments, and how far they are.
pub(crate) struct State {
    pub(crate) model: T5,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) progress: Progress,
}

impl State {
    /// Before the first step.
    pub(crate) fn new(config: &PretrainConfig, model: T5, optimizer: ModuleOptimizer) -> Self {
        let progress = Progress {
            config: config.clone(),
            step: 0,
            seconds: 0.0,
            curve: Vec::new(),
        };
        Self {
            model,
            optimizer,
            progress,
        }
    }

    /// This, or what was saved last in `directory`; and whether it is the latter.
    ///
    /// # Errors
    /// [`PretrainError::Config`] if what was saved belongs to another configuration; else if it can't be read.
    pub(crate) fn resumed(self, directory: &Path) -> Result<(Self, bool), PretrainError> {
        let Some(saved) = saved_states(directory)?.pop() else {
            return Ok((self, false));
        };
        let progress = read_progress(&saved)?;
        if progress.config != self.progress.config {
            return Err(PretrainError::Config {
                path: saved.join("progress.json"),
                reason: format!(
                    "this state belongs to another configuration; delete {} to start anew",
                    directory.display()
                ),
            });
        }
        let (model, optimizer) = (saved.join("model.bpk"), saved.join("optimizer.bpk"));
        let state = Self {
            model: self
                .model
                .try_load_file(&model)
                .map_err(PretrainError::state(&model))?
                .train(),
            optimizer: self
                .optimizer
                .load(&optimizer)
                .map_err(PretrainError::state(&optimizer))?,
            progress,
        };
        Ok((state, true))
    }

    /// Write this into a directory of its own in `directory`, give that its name only when it is complete, and drop
    /// the states before it.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), PretrainError> {
        let old = saved_states(directory)?;
        let partial = directory.join("partial");
        match std::fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(PretrainError::write(&partial)(error));
            }
            _ => {}
        }
        std::fs::create_dir(&partial).map_err(PretrainError::write(&partial))?;
        let (model, optimizer) = (partial.join("model.bpk"), partial.join("optimizer.bpk"));
        self.model
            .clone()
            .save_file(&model)
            .map_err(PretrainError::state(&model))?;
        self.optimizer
            .save(&optimizer)
            .map_err(PretrainError::state(&optimizer))?;
        write_json(&partial.join("progress.json"), &self.progress)?;
        let complete = directory.join(format!("step-{:08}", self.progress.step));
        std::fs::rename(&partial, &complete).map_err(PretrainError::write(&complete))?;
        for path in old {
            std::fs::remove_dir_all(&path).map_err(PretrainError::write(&path))?;
        }
        Ok(())
    }
}

fn read_progress(saved: &Path) -> Result<Progress, PretrainError> {
    let path = saved.join("progress.json");
    let text = std::fs::read_to_string(&path).map_err(PretrainError::read(&path))?;
    serde_json::from_str(&text).map_err(|error| PretrainError::Config {
        path,
        reason: error.to_string(),
    })
}

/// Directories of complete states, oldest first: their names sort by step.
fn saved_states(directory: &Path) -> Result<Vec<PathBuf>, PretrainError> {
    let entries = std::fs::read_dir(directory).map_err(PretrainError::read(directory))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(PretrainError::read(directory))?;
        if entry.file_name().to_string_lossy().starts_with("step-") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
