//! Finished runs.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_partial::Selection;
use fpt_tasks::Split;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::digests;
use crate::{Fingerprints, MetricRecord, RunConfig, RunResult, TrainError};

/// An answer of a finished run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Prediction {
    /// The example's id.
    pub id: String,
    /// What the model answered.
    pub prediction: String,
}

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
        self.read_lines("metrics.jsonl")
    }

    /// The best prompt's answers to the reported split, in its order.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the file is not there or damaged.
    pub fn predictions(&self) -> Result<Vec<Prediction>, TrainError> {
        self.read_lines(&self.predictions_file())
    }

    /// The name of the file that they are in.
    pub fn predictions_file(&self) -> String {
        predictions_file(self.result.split)
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

    fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, TrainError> {
        let text = read_text(&self.directory, name)?;
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| TrainError::Output {
                path: self.directory.join(name),
                reason: format!("line {} is damaged: {error}", number + 1),
            })
        };
        text.lines().enumerate().map(parse).collect()
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

/// The file of a run's answers to a split.
pub(crate) fn predictions_file(split: Split) -> String {
    format!("predictions.{split}.jsonl")
}

fn read_text(directory: &Path, name: &str) -> Result<String, TrainError> {
    fs::read_to_string(directory.join(name)).map_err(|error| TrainError::Output {
        path: directory.to_path_buf(),
        reason: format!("it is no finished run ({name}: {error})"),
    })
}
