//! Who writes a directory: an advisory lock, which ends with the process that holds it, however that ends.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::path::Path;

use crate::TrainError;

/// The name of the lock within the directory.
pub(super) const NAME: &str = "lock";

/// The lock of a directory, held until it is dropped.
pub(super) struct Lock {
    file: File,
}

/// What a directory's lock says.
pub(super) enum Owner {
    /// No process: what is there was left behind. Nobody else takes it as long as this value lives.
    Nobody(Option<Lock>),
    /// A process at work.
    Process(String),
}

impl Lock {
    /// Lock a new directory of this process. None if another one takes it for what a killed process has left: it is that
    /// one's to remove then.
    pub(super) fn new(directory: &Path) -> Result<Option<Self>, TrainError> {
        let path = directory.join(NAME);
        let failed = |error| TrainError::output(&path, error);
        let mut file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks: nothing protects the directory then.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        writeln!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(Some(Self { file }))
    }

    /// Who holds the lock of a directory that was found.
    pub(super) fn owner(directory: &Path) -> Result<Owner, TrainError> {
        let path = directory.join(NAME);
        // Network file systems want to lock only what may be written.
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Owner::Nobody(None)),
            Err(error) => return Err(TrainError::output(&path, error)),
        };
        match file.try_lock() {
            // The directory may have been replaced between the two calls: then its lock is another file.
            Ok(()) if is_at(&file, &path) => Ok(Owner::Nobody(Some(Self { file }))),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(Owner::Process(named(&path))),
            Err(TryLockError::Error(_)) => Ok(Owner::Process(format!(
                "maybe {} (this file system has no locks to ask; move the directory away if there is no such process)",
                named(&path)
            ))),
        }
    }

    /// Take the lock of a directory that others may know, and that need not have one yet.
    pub(super) fn take(directory: &Path) -> Result<Owner, TrainError> {
        let path = directory.join(NAME);
        let failed = |error| TrainError::output(&path, error);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(Owner::Process(named(&path))),
            // As in `new`.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let lock = Self { file };
        lock.name_holder(directory)?;
        Ok(Owner::Nobody(Some(lock)))
    }

    /// Write into the lock of `directory`, which this process has taken over, that it holds it now.
    pub(super) fn name_holder(&self, directory: &Path) -> Result<(), TrainError> {
        let path = directory.join(NAME);
        let failed = |error| TrainError::output(&path, error);
        let mut file = &self.file;
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "process {}", std::process::id()).map_err(failed)
    }

    /// Remove the lock of a directory that this process needs no more.
    pub(super) fn remove(&self, directory: &Path) {
        // A lock that stays is no more than a small file.
        let _ = fs::remove_file(directory.join(NAME));
    }
}

/// The process that wrote the lock at `path`.
fn named(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let name = text.trim();
    if name.is_empty() {
        "another process".into()
    } else {
        name.into()
    }
}

/// Whether an open file is the one that lies at `path` now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let place = |data: fs::Metadata| (data.dev(), data.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => place(open) == place(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}
