//! A run directory in the making.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fpt_partial::Selection;
use serde::Serialize;

use super::digests;
use super::identity::differences;
use super::lock::{Lock, Owner};
use super::sweep;
use crate::record::{Event, Log, RunResult};
use crate::{Begun, Fingerprints, RunConfig, TrainError};

/// How long another process may still hold a directory.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const LOOK: Duration = Duration::from_millis(50);

const METRICS: &str = "metrics.jsonl";
const INPUTS: &str = "inputs.json";
const SELECTIONS: &str = "selections.json";

/// A run directory in the making, `<name>.partial`, which no other process may write. It gets its name only when
/// everything is in it.
pub(crate) struct RunDir {
    target: PathBuf,
    partial: PathBuf,
    lock: Lock,
    /// Whether the run was begun by another process.
    begun: bool,
    /// Where what lay at `partial` before is now, if anything was in the way.
    set_aside: Option<PathBuf>,
}

/// What lies where a run is to be written.
enum There {
    Nothing,
    /// The same run, begun, and its lock.
    Begun(Lock),
    /// Something that is in the way and belongs to no process. Nobody else takes it as long as this value lives.
    InTheWay(Option<Lock>),
}

impl RunDir {
    /// Prepare the directory `target`, which must not exist yet. A run of the same configuration that was begun there is
    /// taken over, as `begun` says.
    ///
    /// # Errors
    /// [`TrainError::Taken`] if it exists; [`TrainError::Output`] if it can't be created, or if there is nothing to go on
    /// with and must be; [`TrainError::Busy`] if another process writes it, [`TrainError::Begun`] if another run was begun there.
    pub(crate) fn open(
        target: &Path,
        config: &RunConfig,
        begun: Begun,
    ) -> Result<Self, TrainError> {
        let unusable = |reason: String| TrainError::Output {
            path: target.to_path_buf(),
            reason,
        };
        let taken = || TrainError::Taken {
            path: target.to_path_buf(),
        };
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
        sweep::fresh_directories(&partial);
        let mut set_aside = None;
        loop {
            let there = there(&partial, config, begun)?;
            let (lock, begun) = match there {
                There::Begun(lock) => {
                    lock.name_holder(&partial)?;
                    sweep::temporary_files(&partial);
                    (lock, true)
                }
                There::InTheWay(_held) => {
                    set_aside = Some(super::set_aside(&partial)?);
                    continue;
                }
                There::Nothing if begun == Begun::MustGoOn => {
                    return Err(unusable(format!(
                        "there is no unfinished run in {} to go on with",
                        partial.display()
                    )));
                }
                There::Nothing => match fresh(&partial)? {
                    Some(lock) => (lock, false),
                    // Another process was faster.
                    None => continue,
                },
            };
            let directory = Self {
                target: target.to_path_buf(),
                partial,
                lock,
                begun,
                set_aside,
            };
            // Another process may have finished the run meanwhile.
            if target.exists() {
                if !begun {
                    remove(&directory.partial);
                }
                return Err(taken());
            }
            directory.write("config.toml", text.as_bytes())?;
            return Ok(directory);
        }
    }

    /// The log of the run, after what it has said before. Whoever listens is told at once what had to be set aside.
    pub(crate) fn log<'a>(
        &self,
        listener: &'a mut dyn FnMut(&Event),
        stop: fn() -> bool,
    ) -> Result<Log<'a>, TrainError> {
        let mut log = Log::open(&self.partial.join(METRICS), listener, stop)?;
        if let Some(path) = self.set_aside.clone() {
            log.emit(Event::SetAside { path })?;
        }
        Ok(log)
    }

    /// What the stages keep of the model, as it was chosen when the run was begun.
    pub(crate) fn selections(&self) -> Option<Vec<Selection>> {
        let text = fs::read_to_string(self.partial.join(SELECTIONS)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Write [`RunDir::selections`] down. Returns the file's text.
    pub(crate) fn write_selections(&self, selections: &[Selection]) -> Result<String, TrainError> {
        let text = self.json(SELECTIONS, &selections)?;
        self.write(SELECTIONS, text.as_bytes())?;
        Ok(text)
    }

    /// Write down what the run reads; if it was begun, that must be what it read then.
    ///
    /// # Errors
    /// [`TrainError::Begun`] names the differences.
    pub(crate) fn check_inputs(&self, inputs: &Fingerprints) -> Result<(), TrainError> {
        let found = fs::read_to_string(self.partial.join(INPUTS)).ok();
        // One that is damaged tells nothing.
        let found = found.and_then(|text| serde_json::from_str::<Fingerprints>(&text).ok());
        let differences = found.map(|found| found.differences(inputs));
        refuse(
            &self.partial,
            "of other inputs",
            differences.unwrap_or_default(),
        )?;
        self.write(INPUTS, self.json(INPUTS, inputs)?.as_bytes())
    }

    /// Where files go until the run is finished.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Write a file.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), TrainError> {
        Ok(fpt_files::write(self.partial.join(name), content)?)
    }

    /// A value as the JSON of a file.
    fn json(&self, name: &str, value: &impl Serialize) -> Result<String, TrainError> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| TrainError::output(self.partial.join(name), error.into()))?;
        Ok(json + "\n")
    }

    /// Write `result.json` and the digests of all files, bring everything to the disk, and give the directory its name.
    pub(crate) fn finish(&self, result: &RunResult) -> Result<(), TrainError> {
        self.write("result.json", self.json("result.json", result)?.as_bytes())?;
        self.write(digests::NAME, digests::of(&self.partial)?.as_bytes())?;
        fpt_files::publish(&self.partial, &self.target)?;
        sweep::clear(&self.target, &self.lock);
        Ok(())
    }

    /// What becomes of a run that failed: it is kept if it has some metrics. Returns the error to report.
    pub(crate) fn fail(self, error: TrainError, has_metrics: bool) -> TrainError {
        if !has_metrics && !self.begun {
            remove(&self.partial);
            return error;
        }
        match error {
            // They say themselves what is kept.
            TrainError::Stopped | TrainError::Begun { .. } => error,
            error => TrainError::Failed {
                source: Box::new(error),
                kept: self.partial,
            },
        }
    }
}

/// What lies at `partial`.
fn there(partial: &Path, config: &RunConfig, begun: Begun) -> Result<There, TrainError> {
    if !partial.exists() {
        return Ok(There::Nothing);
    }
    let start = Instant::now();
    let mut owner = Lock::owner(partial)?;
    // Whoever was told to stop just now is writing down what it has.
    while matches!(owner, Owner::Process(_)) && start.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        if !partial.exists() {
            return Ok(There::Nothing);
        }
        owner = Lock::owner(partial)?;
    }
    let lock = match owner {
        Owner::Nobody(Some(lock)) => lock,
        Owner::Nobody(None) => return Ok(There::InTheWay(None)),
        Owner::Process(owner) => {
            return Err(TrainError::Busy {
                path: partial.to_path_buf(),
                owner,
            });
        }
    };
    if begun == Begun::SetAside {
        return Ok(There::InTheWay(Some(lock)));
    }
    let text = fs::read_to_string(partial.join("config.toml")).ok();
    let Some(found) = text.and_then(|text| toml::from_str::<RunConfig>(&text).ok()) else {
        return Ok(There::InTheWay(Some(lock)));
    };
    let differences = differences(&found, config)?;
    if !differences.is_empty() && !has_work(partial) {
        remove(partial);
        return Ok(There::Nothing);
    }
    refuse(partial, "of another configuration", differences)?;
    Ok(There::Begun(lock))
}

/// Whether a run that was begun has come to anything.
fn has_work(partial: &Path) -> bool {
    let has_metrics = fs::metadata(partial.join(METRICS)).is_ok_and(|file| file.len() > 0);
    has_metrics || partial.join(crate::checkpoint::DIRECTORY).exists()
}

fn refuse(path: &Path, what: &'static str, differences: Vec<String>) -> Result<(), TrainError> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::Begun {
        path: path.to_path_buf(),
        what,
        differences,
    })
}

/// Remove a directory of ours that holds nothing of worth.
fn remove(directory: &Path) {
    // Nothing more can be done here if that fails too.
    let _ = fs::remove_dir_all(directory);
}

/// A new directory `partial`. It appears with its lock in it, so that it is never there without an owner. None if
/// another process made it first.
fn fresh(partial: &Path) -> Result<Option<Lock>, TrainError> {
    loop {
        let fresh = fresh_directory(partial)?;
        let claimed = Lock::new(&fresh).and_then(|lock| {
            let Some(lock) = lock else {
                return Ok(None);
            };
            match fs::rename(&fresh, partial) {
                Ok(()) => Ok(Some(Some(lock))),
                Err(_) if partial.exists() => Ok(Some(None)),
                Err(error) => Err(TrainError::output(partial, error)),
            }
        });
        match claimed {
            // It is gone, or about to be.
            Ok(None) => {}
            Ok(Some(Some(lock))) => return Ok(Some(lock)),
            other => {
                remove(&fresh);
                return other.map(Option::flatten);
            }
        }
    }
}

/// A new directory beside `partial`, under a name that nobody else takes, though processes in containers may have the same
/// number.
fn fresh_directory(partial: &Path) -> Result<PathBuf, TrainError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |error| TrainError::output(partial, error);
    if let Some(parent) = partial.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    loop {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{now:x}-{number}", sweep::FRESH, std::process::id());
        let fresh = partial.with_file_name(name);
        match fs::create_dir(&fresh) {
            Ok(()) => return Ok(fresh),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;

    /// Each looks for what killed processes have left while others make new directories.
    #[test]
    fn directories_in_the_making_are_not_swept_away() {
        let place = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for worker in 0..8 {
                let partial = place.path().join(format!("run-{worker}.partial"));
                scope.spawn(move || {
                    for _ in 0..200 {
                        sweep::fresh_directories(&partial);
                        let lock = fresh(&partial).unwrap().unwrap();
                        let Owner::Process(_) = Lock::owner(&partial).unwrap() else {
                            panic!("it belongs to nobody");
                        };
                        drop(lock);
                        fs::remove_dir_all(&partial).unwrap();
                    }
                });
            }
        });
        sweep::fresh_directories(&place.path().join("run.partial"));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
