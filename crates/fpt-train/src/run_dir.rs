use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use fpt_partial::Selection;
use serde::Serialize;

use crate::{MetricRecord, RunConfig, RunResult, TrainError};

/// A run directory in the making. It gets its name only when everything is in it, and leaves nothing behind
/// if the run fails.
pub struct RunDir {
    target: PathBuf,
    partial: PathBuf,
    metrics: fs::File,
    finished: bool,
}

impl RunDir {
    /// Prepare the directory `target`, which must not exist yet.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it exists or can't be created.
    pub fn create(target: impl AsRef<Path>, config: &RunConfig) -> Result<Self, TrainError> {
        let target = target.as_ref().to_path_buf();
        if target.exists() {
            return Err(TrainError::Output {
                path: target,
                reason: "it already exists; choose another --out, or remove it".into(),
            });
        }
        let mut name = target
            .file_name()
            .ok_or_else(|| TrainError::Output {
                path: target.clone(),
                reason: "it has no name".into(),
            })?
            .to_os_string();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let fail = |path: &Path, error: std::io::Error| TrainError::Output {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        if partial.exists() {
            // Left by a run that was killed.
            fs::remove_dir_all(&partial).map_err(|error| fail(&partial, error))?;
        }
        fs::create_dir_all(&partial).map_err(|error| fail(&partial, error))?;
        let metrics_path = partial.join("metrics.jsonl");
        let metrics =
            fs::File::create(&metrics_path).map_err(|error| fail(&metrics_path, error))?;
        let directory = Self {
            target,
            partial,
            metrics,
            finished: false,
        };
        let text = toml::to_string_pretty(config).map_err(|error| TrainError::Output {
            path: directory.path().to_path_buf(),
            reason: error.to_string(),
        })?;
        directory.write("config.toml", text.as_bytes())?;
        Ok(directory)
    }

    /// Where files go until the run is finished.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Append a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub fn metric(&mut self, record: &impl Serialize) -> Result<(), TrainError> {
        let failed = |reason: String| TrainError::Output {
            path: self.partial.join("metrics.jsonl"),
            reason,
        };
        let line = serde_json::to_string(record).map_err(|error| failed(error.to_string()))?;
        writeln!(self.metrics, "{line}").map_err(|error| failed(error.to_string()))
    }

    /// Write a file.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), TrainError> {
        let path = self.partial.join(name);
        fs::write(&path, content).map_err(|error| TrainError::Output {
            path,
            reason: error.to_string(),
        })
    }

    /// Write a value as JSON.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        let json = serde_json::to_string_pretty(value).map_err(|error| TrainError::Output {
            path: self.partial.join(name),
            reason: error.to_string(),
        })?;
        self.write(name, (json + "\n").as_bytes())
    }

    /// Write `result.json` and give the directory its name.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub fn finish(mut self, result: &RunResult) -> Result<(), TrainError> {
        self.write_json("result.json", result)?;
        fs::rename(&self.partial, &self.target).map_err(|error| TrainError::Output {
            path: self.target.clone(),
            reason: error.to_string(),
        })?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done here if that fails too.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
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
    /// [`TrainError::Output`] if the directory holds no finished run.
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, TrainError> {
        let directory = directory.as_ref().to_path_buf();
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
        let name = "selections.json";
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

/// The result of a finished run in `directory`, if there is one; `None` if the directory does not exist.
///
/// # Errors
/// [`TrainError::Output`] if the directory holds something else, or a run of another configuration: runs are
/// never overwritten.
pub fn finished_run(
    directory: impl AsRef<Path>,
    config: &RunConfig,
) -> Result<Option<RunResult>, TrainError> {
    let directory = directory.as_ref();
    if !directory.exists() {
        return Ok(None);
    }
    let found = FinishedRun::read(directory)?;
    match found.config == *config {
        true => Ok(Some(found.result)),
        false => Err(TrainError::Output {
            path: directory.to_path_buf(),
            reason:
                "it holds a finished run of another configuration; choose another --out, or remove it"
                    .into(),
        }),
    }
}
