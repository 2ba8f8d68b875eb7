//! Who writes a directory: an advisory lock, which ends with the process that holds it, however that ends.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::path::Path;

use crate::FileError;

/// The name of a lock within its directory.
pub const LOCK: &str = "lock";

/// The lock of a directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// What a directory's lock says.
#[derive(Debug)]
pub enum Owner {
    /// No process: what is there was left behind. Nobody else takes it as long as this value lives. There is no lock
    /// where the directory has none.
    Nobody(Option<Lock>),
    /// A process at work.
    Process(String),
}

impl Lock {
    /// Lock a new directory of this process. None if another one takes it for what a killed process has left: it is that
    /// one's to remove then.
    ///
    /// # Errors
    /// [`FileError::Write`] of the lock.
    pub fn new(directory: impl AsRef<Path>) -> Result<Option<Self>, FileError> {
        let directory = directory.as_ref();
        let path = directory.join(LOCK);
        let failed = FileError::write(&path);
        let lock = || {
            let file = match File::create_new(&path) {
                Ok(file) => file,
                Err(_) if !directory.exists() => return Ok(None),
                Err(error) => return Err(error),
            };
            if !is_locked(&file, &path)? {
                return Ok(None);
            }
            let lock = Self { file };
            lock.name_holder()?;
            Ok(Some(lock))
        };
        lock().map_err(failed)
    }

    /// Lock a directory that others may know, and that need not have a lock yet: [`Owner::Nobody`] with the lock, or who
    /// has it.
    ///
    /// # Errors
    /// [`FileError::Write`] of the lock.
    pub fn take(directory: impl AsRef<Path>) -> Result<Owner, FileError> {
        let path = directory.as_ref().join(LOCK);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(FileError::write(&path))?;
        if !is_locked(&file, &path).map_err(FileError::write(&path))? {
            return Ok(Owner::Process(named(&path)));
        }
        let lock = Self { file };
        lock.name_holder().map_err(FileError::write(&path))?;
        Ok(Owner::Nobody(Some(lock)))
    }

    /// Who holds the lock of a directory that was found.
    ///
    /// # Errors
    /// [`FileError::Read`] of the lock.
    pub fn owner(directory: impl AsRef<Path>) -> Result<Owner, FileError> {
        let path = directory.as_ref().join(LOCK);
        // Network file systems want to lock only what may be written.
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Owner::Nobody(None)),
            Err(error) => return Err(FileError::read(&path)(error)),
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

    /// Write into the lock that this process holds it now.
    ///
    /// # Errors
    /// If that can't be written.
    pub fn name_holder(&self) -> std::io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{HOLDER}{}", std::process::id())
    }

    /// Remove the lock of a directory that needs none any more.
    pub fn remove(&self, directory: impl AsRef<Path>) {
        // A lock that stays is no more than a small file.
        let _ = fs::remove_file(directory.as_ref().join(LOCK));
    }
}

/// Before the number of the process in a lock.
const HOLDER: &str = "process ";

/// Whether the lock of a directory was written by this module, or is about to be.
pub(crate) fn may_be_ours(directory: &Path) -> bool {
    let text = fs::read_to_string(directory.join(LOCK));
    text.is_ok_and(|text| text.is_empty() || text.starts_with(HOLDER))
}

/// Lock an open file, unless another process has it, or has removed it from `path` before it was locked.
fn is_locked(file: &File, path: &Path) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(is_at(file, path)),
        Err(TryLockError::WouldBlock) => Ok(false),
        // A file system without locks: nothing protects the directory then.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let me = format!("process {}", std::process::id());
        let is_mine = |owner: Owner| matches!(owner, Owner::Process(name) if name == me);
        assert!(matches!(Lock::owner(&directory), Ok(Owner::Nobody(None))));
        let lock = Lock::new(&directory).unwrap().unwrap();
        assert!(Lock::new(&directory).is_err());
        assert!(is_mine(Lock::owner(&directory).unwrap()));
        assert!(is_mine(Lock::take(&directory).unwrap()));
        drop(lock);
        let Owner::Nobody(Some(lock)) = Lock::owner(&directory).unwrap() else {
            panic!("nobody holds it");
        };
        drop(lock);
        let Owner::Nobody(Some(lock)) = Lock::take(&directory).unwrap() else {
            panic!("nobody holds it");
        };
        assert!(is_mine(Lock::owner(&directory).unwrap()) && may_be_ours(directory.path()));
        lock.remove(&directory);
        assert!(matches!(Lock::owner(&directory), Ok(Owner::Nobody(None))));
        assert!(!may_be_ours(directory.path()));
    }
}
