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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use fpt_files::SealedFormat;

    use super::*;
    use crate::inputs::cache::Cache;

    const FORMAT: SealedFormat = SealedFormat {
        kind: "kind",
        version: 1,
        oldest: 1,
    };
    const NAME: &str = "mnli-0123456789abcdef.fpt";
    const THERE: &str = ".mnli-0123456789abcdef.fpt.making";
    const ELSEWHERE: &str = "process 7 on host n1 (a/b/c), beat 0";

    /// Another process of a run; how long it takes to make the file, and whether it keeps it.
    struct Process<'a> {
        directory: &'a Path,
        takes: Duration,
        keeps: bool,
        made: &'a AtomicUsize,
    }

    impl Process<'_> {
        /// Warnings, and whom it waited for.
        fn run(&self) -> (Vec<String>, Vec<String>) {
            let mut cache = Cache::new(self.directory);
            let mut told = Vec::new();
            let parse = |bytes: &[u8]| Ok(bytes.to_vec());
            let turn = cache.turn(NAME, FORMAT, &parse, &mut |waiting| {
                told.extend(waiting.news.map(|_| waiting.to_string()));
                Ok(())
            });
            match turn.unwrap() {
                Turn::Found(found) => assert_eq!(found, b"made"),
                Turn::Make(_making) => {
                    self.made.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(self.takes);
                    if self.keeps {
                        cache.keep(NAME, FORMAT, Ok::<_, String>(b"made".to_vec()));
                    }
                }
            }
            (cache.into_warnings(), told)
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn of_many_that_want_a_file_one_makes_it() {
        let place = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        let directory = place.path().join("cache");
        let process = Process {
            directory: &directory,
            takes: Duration::from_secs(4),
            keeps: true,
            made: &made,
        };
        let told: Vec<_> = thread::scope(|scope| {
            let all = [(); 4].map(|()| scope.spawn(|| process.run()));
            all.map(|it| it.join().unwrap()).into()
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        let waited = format!("waiting for process {}", std::process::id());
        let waiting = told.iter().filter(|(_, told)| *told == [waited.clone()]);
        assert_eq!(waiting.count(), 3, "{told:?}");
        assert!(
            told.iter().all(|(warnings, _)| warnings.is_empty()),
            "{told:?}"
        );
        assert_eq!(names(&directory), [NAME]);

        // Nobody waits for what is there, whoever makes it anew.
        fs::write(directory.join(THERE), ELSEWHERE).unwrap();
        assert!(process.run().1.is_empty());
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_fails_or_dies_is_followed_by_the_next() {
        let place = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        let process = |keeps| Process {
            directory: place.path(),
            takes: Duration::from_millis(200),
            keeps,
            made: &made,
        };
        thread::scope(|scope| {
            scope.spawn(|| process(false).run());
            while made.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            process(true).run();
        });
        assert_eq!(made.swap(0, Ordering::SeqCst), 2);
        // Killed, on this machine: it is swept away, or taken.
        fs::remove_file(place.path().join(NAME)).unwrap();
        fs::write(place.path().join(THERE), "process 1\n").unwrap();
        process(true).run();
        // On another: that shows after some time.
        fs::remove_file(place.path().join(NAME)).unwrap();
        fs::write(place.path().join(THERE), ELSEWHERE).unwrap();
        let (warnings, told) = process(true).run();
        assert!(
            told[0].contains("process 7 on host n1, which may be gone"),
            "{told:?}"
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert_eq!(names(place.path()), [NAME]);
    }

    #[test]
    fn a_maker_that_beats_is_waited_for_until_the_run_is_to_stop() {
        let place = tempfile::tempdir().unwrap();
        let (path, ends) = (place.path().join(THERE), AtomicBool::new(false));
        fs::write(&path, ELSEWHERE).unwrap();
        let start = Instant::now();
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                for beat in 0.. {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    fs::write(&path, format!("{ELSEWHERE}{beat}\n")).unwrap();
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let long = 2 * pace().silence;
            let turn = turn::<()>(place.path(), NAME, &mut || None, &mut |_| {
                if start.elapsed() > long {
                    return Err(TrainError::Stopped);
                }
                Ok(())
            });
            ends.store(true, Ordering::SeqCst);
            turn.err()
        });
        assert!(matches!(outcome, Some(TrainError::Stopped)), "{outcome:?}");
    }

    #[test]
    fn where_nothing_can_be_written_nobody_waits() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        fs::create_dir(place.path().join(THERE)).unwrap();
        for directory in [file.as_path(), &file.join("below"), place.path()] {
            let made = AtomicUsize::new(0);
            let (_, told) = Process {
                directory,
                takes: Duration::ZERO,
                keeps: true,
                made: &made,
            }
            .run();
            assert!(told.is_empty() && made.into_inner() == 1, "{told:?}");
        }
    }
}
