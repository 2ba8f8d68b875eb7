//! What killed processes leave behind, and nobody needs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fpt_files::{Lock, Owner};

/// Names of directories of runs that have no name yet begin so.
pub(super) const FRESH: &str = ".fpt-run-";

/// Remove nameless directories beside `partial` whose processes are gone.
pub(super) fn fresh_directories(partial: &Path) {
    let parent = partial.parent().filter(|parent| *parent != Path::new(""));
    let entries = fs::read_dir(parent.unwrap_or(Path::new(".")));
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(FRESH) || path.is_symlink() {
            continue;
        }
        match Lock::owner(&path) {
            // It stays if that fails, and does no harm.
            Ok(Owner::Nobody(Some(held))) => locked_directory(&path, held),
            // Without a lock it is empty, or not ours: only an empty one is removed.
            Ok(Owner::Nobody(None)) => {
                let _ = fs::remove_dir(&path);
            }
            _ => {}
        }
    }
}

/// Remove a directory of ours that holds nothing of worth, and whose lock this process holds.
pub(super) fn locked_directory(directory: &Path, lock: Lock) {
    // Nothing more can be done here if that fails.
    let _ = fs::remove_dir_all(directory);
    drop(lock);
    // On network file systems a file that is open stays under another name until it is closed.
    let _ = fs::remove_dir(directory);
}

/// Remove files of the run in `partial`, whose lock this process holds, that were not written to their end.
pub(super) fn temporary_files(partial: &Path) {
    for place in ["", "adapter", crate::checkpoint::DIRECTORY] {
        fpt_files::remove_stale(partial.join(place), Duration::ZERO, |_| true);
    }
}

/// Remove what a finished run needs no more, unless its process is still about to.
pub(super) fn finished(directory: &Path) {
    if let Ok(Owner::Nobody(Some(lock))) = Lock::owner(directory) {
        clear(directory, &lock);
    }
}

/// Remove checkpoints and lock of a finished run, whose lock this process holds.
pub(super) fn clear(directory: &Path, lock: &Lock) {
    let checkpoints = directory.join(crate::checkpoint::DIRECTORY);
    match fs::remove_dir_all(&checkpoints) {
        Err(_) if checkpoints.exists() => {
            // No more than a few files. The lock stays too: by that they are known, and go the next time.
        }
        _ => lock.remove(directory),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_removed_goes_the_next_time() {
        let run = tempfile::tempdir().unwrap();
        let lock = Lock::new(run.path()).unwrap().unwrap();
        let checkpoints = run.path().join(crate::checkpoint::DIRECTORY);
        // A name that is no directory can't be removed as one, whoever tries.
        fs::write(&checkpoints, "").unwrap();
        clear(run.path(), &lock);
        drop(lock);
        assert!(run.path().join("lock").exists());
        fs::remove_file(&checkpoints).unwrap();
        fs::create_dir(&checkpoints).unwrap();
        fs::write(checkpoints.join("step-1.fpt"), "").unwrap();
        finished(run.path());
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0);
    }
}
