use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{RunConfig, RunResult, TrainError};

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

    /// Write `result.json` and give the directory its name.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub fn finish(mut self, result: &RunResult) -> Result<(), TrainError> {
        let json = serde_json::to_string_pretty(result).map_err(|error| TrainError::Output {
            path: self.partial.join("result.json"),
            reason: error.to_string(),
        })?;
        self.write("result.json", (json + "\n").as_bytes())?;
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
    let fail = |reason: String| TrainError::Output {
        path: directory.to_path_buf(),
        reason,
    };
    let read = |name: &str| {
        fs::read_to_string(directory.join(name)).map_err(|error| {
            fail(format!(
                "it exists, but is no finished run ({name}: {error})"
            ))
        })
    };
    let found: RunConfig = toml::from_str(&read("config.toml")?)
        .map_err(|error| fail(format!("its config.toml is damaged: {error}")))?;
    if found != *config {
        return Err(fail(
            "it holds a finished run of another configuration; choose another --out, or remove it"
                .into(),
        ));
    }
    serde_json::from_str(&read("result.json")?)
        .map(Some)
        .map_err(|error| fail(format!("its result.json is damaged: {error}")))
}
