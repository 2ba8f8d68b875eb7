//! Whose turn it is to make a file of a cache: of all processes that want it, one makes it, and the others wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fpt_files::{Lock, Owner, Waiting, Watch, create_parents};

use crate::TrainError;
use crate::run_dir::pace;

/// A network file system may show a file so long after its maker has written it.
const LATE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 3000 });
const LOOK: Duration = Duration::from_millis(100);
/// The end of the lock's name, `.NAME.making`.
const MAKING: &str = ".making";

/// That this process makes a file, and the others wait for it. It ends with the value.
pub(super) struct Making {
    lock: Lock,
    path: PathBuf,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.lock.remove_file(&self.path);
    }
}

/// What comes of wanting a file.
pub(super) enum Turn<T> {
    /// It is there.
    Found(T),
    /// It is to be made. Without a lock where the cache can't be written: then each process makes its own, and nobody
    /// waits.
    Make(Option<Making>),
}

/// The file `name` of `directory`, which `get` finds if it is there, or the turn to make it. While another process makes it,
/// `on_waiting` is asked whether to go on; one that lives but does nothing is not waited for.
///
/// # Errors
/// Those of `on_waiting`.
pub(super) fn turn<T>(
    directory: &Path,
    name: &str,
    get: &mut dyn FnMut() -> Option<T>,
    on_waiting: &mut dyn FnMut(&Waiting<'_>) -> Result<(), TrainError>,
) -> Result<Turn<T>, TrainError> {
    if let Some(found) = get() {
        return Ok(Turn::Found(found));
    }
    // In the same directory: by making it there a network file system learns what else is new in it.
    let path = directory.join(format!(".{name}{MAKING}"));
    if create_parents(&path).is_err() {
        return Ok(Turn::Make(None));
    }
    let (mut waited, mut outcome) = (false, Ok(()));
    let longest_silence = 2 * pace().silence;
    let mut goes_on = |waiting: &Waiting<'_>| {
        waited = true;
        outcome = on_waiting(waiting);
        outcome.is_ok() && waiting.silent < longest_silence
    };
    let mut watch = Watch::of_file(&path).at(pace());
    let owner = watch.wait(Duration::MAX, Watch::take, &mut goes_on);
    outcome?;
    let Ok(Owner::Nobody(Some(lock))) = owner else {
        return Ok(Turn::Make(None));
    };
    let making = Making { lock, path };
    let end = Instant::now() + if waited { LATE } else { Duration::ZERO };
    loop {
        if let Some(found) = get() {
            return Ok(Turn::Found(found));
        }
        if Instant::now() >= end {
            return Ok(Turn::Make(Some(making)));
        }
        thread::sleep(LOOK);
    }
}

/// Remove the locks in `directory` of files that `is_ours`, and whose makers were killed.
pub(super) fn sweep(directory: &Path, is_ours: fn(&str) -> bool) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix('.'));
        let name = name.and_then(|name| name.strip_suffix(MAKING));
        if !name.is_some_and(is_ours) {
            continue;
        }
        let path = entry.path();
        if let Ok(Owner::Nobody(Some(lock))) = Lock::owner_of_file(&path) {
            lock.remove_file(path);
        }
    }
}
