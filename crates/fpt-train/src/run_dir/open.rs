//! A run directory in the making.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fpt_files::{FileError, LOCK, Lock, Owner, Waiting, Watch};
use fpt_partial::Selection;
use serde::Serialize;

use super::digests;
use super::identity::differences;
use super::sweep;
use super::wait::{PATIENCE, wait};
use crate::record::{Event, Log, RunResult};
use crate::{Begun, Conduct, Fingerprints, RunConfig, TrainError};

const CONFIG: &str = "config.toml";
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
    /// Something else than a moment ago.
    Changing,
    /// A directory without a lock, which has one now: nobody else takes it, or makes another in its place.
    Foreign(Lock),
    /// The same run, begun, and its lock.
    Begun(Lock),
    /// Something that is in the way and belongs to no process. Nobody else takes it as long as this value lives.
    InTheWay(Option<Lock>),
}

impl RunDir {
    /// Prepare the directory `target`, which must not exist yet. A run of the same configuration that was begun there is
    /// taken over, as `conduct` says. The listener hears of a process that is waited for.
    ///
    /// # Errors
    /// [`TrainError::Taken`] if it exists; [`TrainError::Output`] if it can't be created, or if there is nothing to go on
    /// with and must be; [`TrainError::Busy`] if another process writes it, [`TrainError::Begun`] if another run was begun
    /// there, [`TrainError::Stopped`].
    pub(crate) fn open(
        target: &Path,
        config: &RunConfig,
        conduct: &Conduct,
        listener: &mut dyn FnMut(&Event),
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
            let there = there(&partial, config, conduct, listener)?;
            let (lock, begun) = match there {
                There::Begun(lock) => {
                    sweep::temporary_files(&partial);
                    // Its paths may be others now.
                    fpt_files::write(partial.join(CONFIG), &text)?;
                    (lock, true)
                }
                There::Changing => continue,
                There::Foreign(lock) => {
                    let kept = fpt_files::set_aside(&partial)?;
                    lock.remove(&kept);
                    set_aside = Some(kept);
                    continue;
                }
                There::InTheWay(_held) => {
                    set_aside = Some(fpt_files::set_aside(&partial)?);
                    continue;
                }
                There::Nothing if conduct.begun == Begun::MustGoOn => {
                    return Err(unusable(format!(
                        "there is no unfinished run in {} to go on with",
                        partial.display()
                    )));
                }
                There::Nothing => match fresh(&partial, &text)? {
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
                    sweep::locked_directory(&directory.partial, directory.lock);
                }
                return Err(taken());
            }
            return Ok(directory);
        }
    }

    /// The log of the run, after what it has said before. Whoever listens is told at once what had to be set aside.
    pub(crate) fn log<'a>(
        &self,
        listener: &'a mut dyn FnMut(&Event),
        stop: fn() -> bool,
    ) -> Result<Log<'a>, TrainError> {
        let lease = self.lock.lease().cloned();
        let mut log = Log::open(&self.partial.join(METRICS), listener, stop, lease)?;
        if let Some(path) = self.set_aside.clone() {
            log.emit(Event::SetAside { path })?;
        }
        Ok(log)
    }

    /// What the stages keep of the model, as it was chosen when the run was begun.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it is there and can't be read now.
    pub(crate) fn selections(&self) -> Result<Option<Vec<Selection>>, TrainError> {
        let text = text_of(&self.partial.join(SELECTIONS))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Write [`RunDir::selections`] down. Returns the file's text.
    pub(crate) fn write_selections(&self, selections: &[Selection]) -> Result<String, TrainError> {
        self.write_json(SELECTIONS, selections)
    }

    /// Write down what the run reads; if it was begun, that must be what it read then.
    ///
    /// # Errors
    /// [`TrainError::Begun`] names the differences; [`TrainError::Output`] if they can't be read or written now.
    pub(crate) fn check_inputs(&self, inputs: &Fingerprints) -> Result<(), TrainError> {
        let found = text_of(&self.partial.join(INPUTS))?;
        // One that is damaged tells nothing.
        let found = found.and_then(|text| serde_json::from_str::<Fingerprints>(&text).ok());
        let differences = found.map(|found| found.differences(inputs));
        refuse(
            &self.partial,
            "of other inputs",
            differences.unwrap_or_default(),
        )?;
        self.write_json(INPUTS, inputs).map(drop)
    }

    /// Where files go until the run is finished.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// That the directory still belongs to this process, by what lies there now.
    ///
    /// # Errors
    /// [`TrainError::Lost`] if not; [`TrainError::File`] if that can't be told.
    pub(crate) fn check_ours(&self) -> Result<(), TrainError> {
        match self.lock.new_holder()? {
            None => Ok(()),
            Some(owner) => Err(TrainError::Lost {
                path: self.partial.clone(),
                owner,
            }),
        }
    }

    /// Write a file.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), TrainError> {
        self.check_ours()?;
        Ok(fpt_files::write(self.partial.join(name), content)?)
    }

    /// Write a file of JSON. Returns its text.
    fn write_json(
        &self,
        name: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<String, TrainError> {
        self.check_ours()?;
        Ok(fpt_files::write_json(self.partial.join(name), value)?)
    }

    /// Write `result.json` and the digests of all files, bring everything to the disk, and give the directory its name.
    pub(crate) fn finish(&self, result: &RunResult) -> Result<(), TrainError> {
        self.write_json("result.json", result)?;
        // What was left by one that was killed while it took the lock.
        fpt_files::remove_stale(&self.partial, Duration::ZERO, |name| name == LOCK);
        self.write(digests::NAME, digests::of(&self.partial)?.as_bytes())?;
        self.lock.moves_to(&self.target);
        self.check_ours()?;
        fpt_files::publish(&self.partial, &self.target)?;
        sweep::clear(&self.target, &self.lock);
        Ok(())
    }

    /// What becomes of a run that failed: it is kept if it has some metrics. Returns the error to report.
    pub(crate) fn fail(self, error: TrainError, has_metrics: bool) -> TrainError {
        if matches!(error, TrainError::Lost { .. }) {
            return error;
        }
        if !has_metrics && !self.begun {
            if self.check_ours().is_ok() {
                sweep::locked_directory(&self.partial, self.lock);
            }
            return error;
        }
        match error {
            // They say themselves what is kept.
            TrainError::Stopped | TrainError::Begun { .. } => error,
            error => TrainError::Failed {
                source: Box::new(error),
                // It may have its name already, and only the disk failed then.
                kept: if self.partial.exists() {
                    self.partial
                } else {
                    self.target
                },
            },
        }
    }
}

/// What lies at `partial`.
fn there(
    partial: &Path,
    config: &RunConfig,
    conduct: &Conduct,
    listener: &mut dyn FnMut(&Event),
) -> Result<There, TrainError> {
    if !partial.exists() {
        return Ok(There::Nothing);
    }
    let mut goes_on = |waiting: &Waiting<'_>| {
        if waiting.news.is_some() {
            let message = format!("{} is in use: {waiting}", partial.display());
            listener(&Event::Waiting { message });
        }
        partial.exists() && !(conduct.stop)()
    };
    let owner = match wait(partial, PATIENCE, Watch::take_existing, &mut goes_on) {
        Err(TrainError::Busy { .. }) if !partial.exists() => return Ok(There::Nothing),
        Err(TrainError::Busy { .. }) if (conduct.stop)() => return Err(TrainError::Stopped),
        owner => owner?,
    };
    let Owner::Nobody(Some(lock)) = owner else {
        return Ok(match Lock::new(partial) {
            Ok(Some(lock)) => There::Foreign(lock),
            Ok(None) => There::Changing,
            // It became that of another process just now.
            Err(_) if partial.join(LOCK).exists() => There::Changing,
            // What can't be written to can be moved.
            Err(_) => There::InTheWay(None),
        });
    };
    if conduct.begun == Begun::SetAside {
        return Ok(There::InTheWay(Some(lock)));
    }
    let text = text_of(&partial.join(CONFIG))?;
    let Some(found) = text.and_then(|text| toml::from_str::<RunConfig>(&text).ok()) else {
        return Ok(There::InTheWay(Some(lock)));
    };
    let differences = differences(&found, config)?;
    if !differences.is_empty() && !has_work(partial) {
        sweep::locked_directory(partial, lock);
        return Ok(There::Nothing);
    }
    refuse(partial, "of another configuration", differences)?;
    Ok(There::Begun(lock))
}

/// The text of a file of a run that was begun; none where there is none, or what is there is no text. An error of the
/// disk is not taken for that: what can't be read now may be the work of days.
fn text_of(path: &Path) -> Result<Option<String>, TrainError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if [ErrorKind::NotFound, ErrorKind::InvalidData].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(TrainError::output(path, error)),
    }
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

/// A new directory `partial`. It appears with its lock and its configuration in it, so that it is never there without an
/// owner, or in the way of the run that it belongs to. None if another process made it first.
fn fresh(partial: &Path, config: &str) -> Result<Option<Lock>, TrainError> {
    loop {
        let fresh = fresh_directory(partial)?;
        match filled(&fresh, partial, config) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            // Another process took it for what a killed one has left, and removes it.
            Ok(None) => {}
            Err(_) if partial.exists() => {
                remove(&fresh);
                return Ok(None);
            }
            Err(_) if !fresh.exists() => {}
            Err(error) => {
                remove(&fresh);
                return Err(error.into());
            }
        }
    }
}

/// `fresh`, filled and under the name `partial`, or None if it is another process's to remove.
fn filled(fresh: &Path, partial: &Path, config: &str) -> Result<Option<Lock>, FileError> {
    let Some(lock) = Lock::new(fresh)? else {
        return Ok(None);
    };
    fpt_files::write(fresh.join(CONFIG), config)?;
    lock.moves_to(partial);
    fpt_files::publish(fresh, partial)?;
    Ok(Some(lock))
}

/// A new directory beside `partial`, under a name that nobody else takes, though processes in containers may have the same
/// number.
fn fresh_directory(partial: &Path) -> Result<PathBuf, TrainError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |error| TrainError::output(partial, error);
    fpt_files::create_parents(partial)?;
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

    use fpt_lab::Lab;
    use fpt_tasks::TaskName;

    use super::*;
    use crate::Experiment;

    fn config(lab: &Lab) -> RunConfig {
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        experiment.run(&TaskName::MNLI, 0, &[]).unwrap()
    }

    fn open_at(target: &Path, config: &RunConfig, begun: Begun) -> Result<RunDir, TrainError> {
        let conduct = Conduct {
            begun,
            ..Conduct::default()
        };
        RunDir::open(target, config, &conduct, &mut |_| {})
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_appears_with_what_it_is_known_by() {
        let lab = Lab::new();
        let (place, config) = (lab.path("runs"), config(&lab));
        fs::create_dir(&place).unwrap();
        // As where the process was killed at once.
        let lock = fresh(&place.join("run.partial"), "").unwrap();
        assert!(lock.is_some());
        assert_eq!(names(&place), ["run.partial"]);
        assert_eq!(names(&place.join("run.partial")), ["config.toml", "lock"]);
        fs::remove_dir_all(place.join("run.partial")).unwrap();

        drop(open_at(&place.join("run"), &config, Begun::GoOn).unwrap());
        assert!(open_at(&place.join("run"), &config, Begun::MustGoOn).is_ok());
        // Nothing was set aside.
        assert_eq!(names(&place), ["run.partial"]);
    }

    #[test]
    fn what_cannot_be_read_now_is_not_set_aside() {
        let lab = Lab::new();
        let (place, config) = (lab.path("runs"), config(&lab));
        let open = || open_at(&place.join("run"), &config, Begun::GoOn);
        for name in [CONFIG, INPUTS, SELECTIONS] {
            fs::create_dir_all(&place).unwrap();
            drop(open().unwrap());
            // A directory can be opened, and reading it is an error, whoever reads.
            let path = place.join("run.partial").join(name);
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            fs::create_dir(&path).unwrap();
            let error = match open() {
                Ok(directory) => directory
                    .selections()
                    .err()
                    .or_else(|| text_of(&directory.path().join(INPUTS)).err()),
                Err(error) => Some(error),
            };
            let message = error.unwrap().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert_eq!(names(&place), ["run.partial"]);
            fs::remove_dir_all(&place).unwrap();
        }
    }

    #[test]
    fn what_is_kept_is_named_by_its_name() {
        let lab = Lab::new();
        let (place, config) = (lab.path("runs"), config(&lab));
        fs::create_dir(&place).unwrap();
        let target = place.join("run");
        let failed = |directory: RunDir| {
            let full = TrainError::output("any", ErrorKind::StorageFull.into());
            match directory.fail(full, true) {
                TrainError::Failed { kept, .. } => kept,
                other => panic!("{other}"),
            }
        };
        let open = || open_at(&target, &config, Begun::GoOn).unwrap();
        assert_eq!(failed(open()), place.join("run.partial"));
        let directory = open();
        // As where the directory has its new name, and the disk fails to keep that.
        fs::rename(place.join("run.partial"), &target).unwrap();
        assert_eq!(failed(directory), target);
    }

    /// The lock of a process of another machine, in the place of what is there.
    fn lock_elsewhere(partial: &Path, beat: usize) {
        let text = format!("process 7 on host n1 (a/b/c), beat {beat}\n");
        fpt_files::write(partial.join(LOCK), text).unwrap();
    }

    #[test]
    fn a_run_of_another_machine_is_its_own_as_long_as_it_beats() {
        let lab = Lab::new();
        let (place, config) = (lab.path("runs"), config(&lab));
        let (target, partial) = (place.join("run"), place.join("run.partial"));
        drop(open_at(&target, &config, Begun::GoOn).unwrap());
        lock_elsewhere(&partial, 0);
        // A sweep takes nothing away.
        sweep::finished(&partial);
        assert!(partial.join(LOCK).exists());
        let ends = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for beat in 1.. {
                    if ends.load(Ordering::SeqCst) > 0 {
                        return;
                    }
                    lock_elsewhere(&partial, beat);
                    thread::sleep(Duration::from_millis(100));
                }
            });
            let opened = open_at(&target, &config, Begun::GoOn);
            ends.store(1, Ordering::SeqCst);
            let Some(TrainError::Busy { owner, .. }) = opened.err() else {
                panic!("it is not its own");
            };
            assert_eq!(owner, "process 7 on host n1");
        });
        // Killed, after which it is waited for, which is told, unless this run is to stop.
        let mut told = Vec::new();
        let mut open = |stop| {
            let conduct = Conduct {
                stop,
                ..Conduct::default()
            };
            RunDir::open(&target, &config, &conduct, &mut |event| {
                told.push(event.clone());
            })
        };
        let stopped = open(|| true).err();
        assert!(matches!(stopped, Some(TrainError::Stopped)), "{stopped:?}");
        let taken = open(|| false).unwrap();
        assert!(taken.begun && taken.check_ours().is_ok());
        let [Event::Waiting { message }] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(
            message.contains("waiting for process 7 on host n1, which may be gone: up to "),
            "{message}"
        );
    }

    #[test]
    fn what_another_machine_has_taken_is_left_alone() {
        let lab = Lab::new();
        let (place, config) = (lab.path("runs"), config(&lab));
        let (target, partial) = (place.join("run"), place.join("run.partial"));
        let directory = open_at(&target, &config, Begun::GoOn).unwrap();
        lock_elsewhere(&partial, 0);
        let before = names(&partial);
        for outcome in [
            directory.check_ours(),
            directory.write("file", b""),
            directory.write_selections(&[]).map(drop),
        ] {
            let Some(TrainError::Lost { owner, .. }) = outcome.err() else {
                panic!("it is not lost");
            };
            assert_eq!(owner, "process 7 on host n1");
        }
        let any = TrainError::output("any", ErrorKind::StorageFull.into());
        directory.fail(any, false);
        assert_eq!(names(&partial), before);
        let text = fs::read_to_string(partial.join(LOCK)).unwrap();
        assert!(text.starts_with("process 7 on host n1"), "{text}");
    }

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
                        let lock = fresh(&partial, "").unwrap().unwrap();
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
