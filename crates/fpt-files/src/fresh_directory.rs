//! Directories in the making, which no other process takes for left behind.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use crate::lock::{self, LOCK};
use crate::stale::target_name;
use crate::whole::{around, directory};
use crate::{FileError, Lock, Owner};

/// Where files go within the directory that has the lock.
const FILES: &str = "files";

/// A directory without a name of its own. It goes away with the value; if its process is killed, the next one that is
/// made for the same target in the same place removes it.
#[derive(Debug)]
pub struct FreshDirectory {
    /// Let go of before the directory is removed, which some systems want.
    _lock: Lock,
    /// `.NAME.XXXXXX.tmp`, which has the lock beside the files: it stays there when they get their name.
    around: TempDir,
}

impl FreshDirectory {
    /// One that is to become `target`, beside it. Directories above are created.
    ///
    /// # Errors
    /// [`FileError::Write`] of `target`.
    pub fn beside(target: impl AsRef<Path>) -> Result<Self, FileError> {
        let target = target.as_ref();
        crate::create_parents(target)?;
        Self::within(directory(target), target)
    }

    /// One in `place` whose files are meant for `target`.
    pub(crate) fn within(place: &Path, target: &Path) -> Result<Self, FileError> {
        sweep(place, target);
        let (prefix, suffix) = around(target);
        // Messages name the target: the directory is not there then.
        let failed = |kind: std::io::ErrorKind| FileError::write(target)(kind.into());
        let mut name = Builder::new();
        let name = name.prefix(&prefix).suffix(suffix);
        let (around, lock) = loop {
            let around = name.tempdir_in(place);
            let around = around.map_err(|error| failed(error.kind()))?;
            // None if another process takes it for left behind.
            if let Some(lock) = Lock::new(around.path())? {
                break (around, lock);
            }
        };
        fs::create_dir(around.path().join(FILES)).map_err(|error| failed(error.kind()))?;
        Ok(Self {
            _lock: lock,
            around,
        })
    }

    /// Where files go.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.around.path().join(FILES)
    }

    /// Bring all to the disk, and give it the name `target`, as [`crate::publish`] does.
    ///
    /// # Errors
    /// Those of [`crate::publish`].
    pub fn publish(self, target: impl AsRef<Path>) -> Result<(), FileError> {
        crate::publish(self.path(), target)
    }
}

impl Drop for FreshDirectory {
    fn drop(&mut self) {
        // First: a directory whose lock is gone is nobody's. What stays is removed by the next.
        let _ = fs::remove_dir_all(self.path());
    }
}

/// Remove from `place` what killed processes left that made a directory for `target`. What can't be removed stays.
fn sweep(place: &Path, target: &Path) {
    let (prefix, _) = around(target);
    let ours = prefix.trim_matches('.');
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name();
        let named = named.to_str().and_then(target_name);
        if named != Some(ours) || path.is_symlink() || !is_fresh_directory(&path) {
            continue;
        }
        match Lock::owner(&path) {
            Ok(Owner::Nobody(Some(_held))) => {
                let _ = fs::remove_dir_all(path.join(FILES));
                let _ = fs::remove_dir_all(&path);
            }
            // It is removed only if there is still nothing in it.
            Ok(Owner::Nobody(None)) => {
                let _ = fs::remove_dir(&path);
            }
            _ => {}
        }
    }
}

/// Whether a directory has a lock of ours, or one that does not say yet whose it is, and nothing else but files; or
/// nothing at all: its process may have been killed before it had a lock.
fn is_fresh_directory(path: &Path) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    let known = names.iter().all(|name| name == LOCK || name == FILES);
    known && (names.is_empty() || lock::may_be_ours(path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::listing::names;

    /// What a killed process leaves: the lock, which nobody holds, and some files.
    fn left_behind(place: &Path, name: &str, lock: &str) -> PathBuf {
        let path = place.join(name);
        fs::create_dir_all(path.join(FILES)).unwrap();
        fs::write(path.join(FILES).join("half"), "").unwrap();
        fs::write(path.join(LOCK), lock).unwrap();
        path
    }

    #[test]
    fn what_killed_processes_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("model.v1");
        let ours = "process 1\n";
        // Killed while it wrote files, before it had said who it was, and before it had a lock.
        let left = [
            ".model.v1.aB3xY9.tmp",
            ".model.v1.bB3xY9.tmp",
            ".model.v1.cB3xY9.tmp",
        ];
        left_behind(root.path(), left[0], ours);
        let unnamed = left_behind(root.path(), left[1], "").join(LOCK);
        let unnamed = fs::File::options().write(true).open(unnamed).unwrap();
        // Younger ones may be those of another machine.
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        unnamed.set_modified(old).unwrap();
        fs::create_dir(root.path().join(left[2])).unwrap();
        let mut kept = Vec::new();
        for (name, lock) in [
            // Of another target, of another program, and with a name that is none.
            (".model.aB3xY9.tmp", ours),
            (".model.v1.0B3xY9.tmp", "mine\n"),
            (".model.v1.aB3.tmp", ours),
            (".model.v1.1B3xY9.tmp", ours),
        ] {
            kept.push(left_behind(root.path(), name, lock));
        }
        fs::write(kept[3].join("thesis.tex"), "precious").unwrap();
        // Without a lock, and of a process at work.
        kept.push(root.path().join(".model.v1.2B3xY9.tmp"));
        fs::create_dir(&kept[4]).unwrap();
        fs::write(kept[4].join("thesis.tex"), "precious").unwrap();
        let at_work = FreshDirectory::beside(&target).unwrap();
        assert!(left.iter().all(|name| !root.path().join(name).exists()));
        fs::write(at_work.path().join("file"), "").unwrap();

        let fresh = FreshDirectory::beside(&target).unwrap();
        assert!(at_work.path().join("file").exists());
        assert!(kept.iter().all(|path| path.exists()));
        fs::write(fresh.path().join("file"), "whole").unwrap();
        fresh.publish(&target).unwrap();
        assert_eq!(names(&target), ["file"]);
        drop(at_work);
        assert_eq!(names(root.path()).len(), kept.len() + 1);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_directory() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            fs::metadata(root.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        fs::create_dir(root.path().join("plain")).unwrap();
        let fresh = FreshDirectory::beside(root.path().join("fresh")).unwrap();
        fresh.publish(root.path().join("fresh")).unwrap();
        assert_eq!(mode("fresh"), mode("plain"));
    }
}
