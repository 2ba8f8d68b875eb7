//! Finished runs.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_partial::Selection;
use serde::de::DeserializeOwned;

use super::digests;
use crate::{Fingerprints, MetricRecord, RunConfig, RunResult, TrainError};

/// A finished run.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// Its directory.
    pub directory: PathBuf,
    /// Its configuration.
    pub config: RunConfig,
    /// Its outcome.
    pub result: RunResult,
}

impl FinishedRun {
    /// Read the run in `directory`.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the directory holds no finished run, [`TrainError::Damaged`] if one of its files is not
    /// what the run wrote.
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, TrainError> {
        let directory = directory.as_ref().to_path_buf();
        digests::check(&directory)?;
        let damaged = |name: &str, reason: String| TrainError::Output {
            path: directory.clone(),
            reason: format!("its {name} is damaged: {reason}"),
        };
        let config = toml::from_str(&read_text(&directory, "config.toml")?)
            .map_err(|error| damaged("config.toml", error.to_string()))?;
        let result = serde_json::from_str(&read_text(&directory, "result.json")?)
            .map_err(|error| damaged("result.json", error.to_string()))?;
        Ok(Self {
            directory,
            config,
            result,
        })
    }

    /// The lines of its `metrics.jsonl`.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the file is not there or damaged.
    pub fn metrics(&self) -> Result<Vec<MetricRecord>, TrainError> {
        let text = read_text(&self.directory, "metrics.jsonl")?;
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| TrainError::Output {
                path: self.directory.join("metrics.jsonl"),
                reason: format!("line {} is damaged: {error}", number + 1),
            })
        };
        text.lines().enumerate().map(parse).collect()
    }

    /// What each of its stages kept of the model.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the file is not there or damaged.
    pub fn selections(&self) -> Result<Vec<Selection>, TrainError> {
        self.read_json("selections.json")
    }

    /// What it read.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the file is not there or damaged.
    pub fn inputs(&self) -> Result<Fingerprints, TrainError> {
        self.read_json("inputs.json")
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        serde_json::from_str(&read_text(&self.directory, name)?).map_err(|error| {
            TrainError::Output {
                path: self.directory.join(name),
                reason: error.to_string(),
            }
        })
    }
}

fn read_text(directory: &Path, name: &str) -> Result<String, TrainError> {
    fs::read_to_string(directory.join(name)).map_err(|error| TrainError::Output {
        path: directory.to_path_buf(),
        reason: format!("it is no finished run ({name}: {error})"),
    })
}
