//! A run directory in the making.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lock::{Lock, Owner};
use super::set_aside;
use crate::record::{Event, Log, RunResult};
use crate::{RunConfig, TrainError};

/// A run directory in the making, `<name>.partial`, which no other process may write. It gets its name only when
/// everything is in it.
pub(crate) struct RunDir {
    target: PathBuf,
    partial: PathBuf,
    lock: Lock,
    /// Where what lay at `partial` before is now, if anything did.
    set_aside: Option<PathBuf>,
}

impl RunDir {
    /// Prepare the directory `target`, which must not exist yet. What a killed run left is set aside.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it exists or can't be created, [`TrainError::Busy`] if another process writes it.
    pub(crate) fn create(target: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        let unusable = |reason: String| TrainError::Output {
            path: target.to_path_buf(),
            reason,
        };
        let taken = || unusable("it already exists; choose another --out, or remove it".into());
        if target.exists() {
            return Err(taken());
        }
        let name = target.file_name();
        let mut name = name
            .ok_or_else(|| unusable("it has no name".into()))?
            .to_os_string();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let text = toml::to_string_pretty(config).map_err(|error| unusable(error.to_string()))?;
        // It appears with its lock in it, so that it is never there without an owner.
        let fresh = fresh_directory(&partial)?;
        let claimed = Lock::new(&fresh).and_then(|lock| {
            fpt_files::write(fresh.join("config.toml"), text)?;
            Ok((lock, claim(&fresh, &partial)?))
        });
        let (lock, set_aside) = claimed.inspect_err(|_| remove(&fresh))?;
        // Another process may have finished the run meanwhile.
        if target.exists() {
            remove(&partial);
            return Err(taken());
        }
        Ok(Self {
            target: target.to_path_buf(),
            partial,
            lock,
            set_aside,
        })
    }

    /// The log of the run. Whoever listens is told at once what had to be set aside.
    pub(crate) fn log<'a>(
        &self,
        listener: &'a mut dyn FnMut(&Event),
    ) -> Result<Log<'a>, TrainError> {
        let mut log = Log::create(&self.partial.join("metrics.jsonl"), listener)?;
        if let Some(path) = self.set_aside.clone() {
            log.emit(Event::SetAside { path })?;
        }
        Ok(log)
    }

    /// Where files go until the run is finished.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Write a file.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), TrainError> {
        Ok(fpt_files::write(self.partial.join(name), content)?)
    }

    /// Write a value as JSON.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| TrainError::output(self.partial.join(name), error.into()))?;
        self.write(name, (json + "\n").as_bytes())
    }

    /// Write `result.json` and give the directory its name.
    pub(crate) fn finish(&self, result: &RunResult) -> Result<(), TrainError> {
        self.write_json("result.json", result)?;
        fs::rename(&self.partial, &self.target)
            .map_err(|error| TrainError::output(&self.target, error))?;
        self.lock.remove(&self.target);
        Ok(())
    }

    /// What becomes of a run that failed: its metrics are kept, if it has some. Returns the error to report.
    pub(crate) fn fail(self, error: TrainError, has_metrics: bool) -> TrainError {
        if !has_metrics {
            remove(&self.partial);
            return error;
        }
        TrainError::Failed {
            source: Box::new(error),
            kept: self.partial,
        }
    }
}

/// Remove a directory of ours that holds nothing of worth.
fn remove(directory: &Path) {
    // Nothing more can be done here if that fails too.
    let _ = fs::remove_dir_all(directory);
}

/// A new directory beside `partial`, under a name that no other process takes.
fn fresh_directory(partial: &Path) -> Result<PathBuf, TrainError> {
    let failed = |error| TrainError::output(partial, error);
    if let Some(parent) = partial.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut number = 0;
    loop {
        let name = format!(".fpt-run-{}-{number}", std::process::id());
        let fresh = partial.with_file_name(name);
        match fs::create_dir(&fresh) {
            Ok(()) => return Ok(fresh),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Give the directory `fresh` the name `partial`. What lies there without an owner is set aside; where, is returned.
fn claim(fresh: &Path, partial: &Path) -> Result<Option<PathBuf>, TrainError> {
    let mut moved = None;
    loop {
        if !partial.exists() {
            match fs::rename(fresh, partial) {
                Ok(()) => return Ok(moved),
                // Another process was faster.
                Err(_) if partial.exists() => {}
                Err(error) => return Err(TrainError::output(partial, error)),
            }
        }
        match Lock::owner(partial)? {
            Owner::Nobody(_held) => moved = Some(set_aside(partial)?),
            Owner::Process(owner) => {
                return Err(TrainError::Busy {
                    path: partial.to_path_buf(),
                    owner,
                });
            }
        }
    }
}
