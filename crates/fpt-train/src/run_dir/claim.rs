//! Directories of several runs, at which one process is at work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fpt_files::{Lock, Owner, Waiting, Watch};

use super::wait::{PATIENCE, wait};
use crate::TrainError;

/// That this process, and no other, makes the runs of a directory. It ends with the value, or with the process, however
/// that ends.
#[must_use]
pub struct Claim {
    directory: PathBuf,
    lock: Lock,
}

impl Claim {
    /// For the directory, which must be there. A process that is about to end is waited for, for some seconds, and one of
    /// another machine until it is known whether it is there.
    ///
    /// # Errors
    /// [`TrainError::Busy`] names the process that is at work there; [`TrainError::File`] if the directory can't be
    /// written.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self, TrainError> {
        Self::telling(directory, &mut |_| {})
    }

    /// [`Claim::new`]; whoever waits for long is told for whom, once.
    ///
    /// # Errors
    /// As [`Claim::new`].
    pub fn telling(
        directory: impl AsRef<Path>,
        on_waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, TrainError> {
        Self::within(PATIENCE, directory.as_ref(), on_waiting)
    }

    fn within(
        patience: Duration,
        directory: &Path,
        on_waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, TrainError> {
        let mut goes_on = |waiting: &Waiting<'_>| {
            if waiting.news.is_some() {
                on_waiting(&waiting.to_string());
            }
            true
        };
        loop {
            let owner = wait(directory, patience, Watch::take, &mut goes_on)?;
            if let Owner::Nobody(Some(lock)) = owner {
                let directory = directory.to_path_buf();
                return Ok(Self { directory, lock });
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.lock.remove(&self.directory);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_directory_is_claimed_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("lock");
        // What a killed process leaves is nobody's.
        fs::write(&lock, "process 1\n").unwrap();
        let claim = Claim::new(directory.path()).unwrap();
        let holder = format!("process {}", std::process::id());
        let text = fs::read_to_string(&lock).unwrap();
        assert!(text.starts_with(&format!("{holder} on host ")), "{text}");
        let Err(TrainError::Busy { path, owner }) =
            Claim::within(Duration::ZERO, directory.path(), &mut |_| {})
        else {
            panic!("two have it");
        };
        assert_eq!((path.as_path(), owner), (directory.path(), holder));

        // Whoever waits for its end has it then, one after the other, though each removes its lock.
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            let claims = [0; 4].map(|_| {
                scope.spawn(|| {
                    let claim = Claim::new(directory.path()).unwrap();
                    let others = inside.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(claim);
                    others
                })
            });
            drop(claim);
            for claim in claims {
                assert_eq!(claim.join().unwrap(), 0);
            }
        });
        assert!(!lock.exists());
    }
}
