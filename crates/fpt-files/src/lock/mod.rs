//! Who writes a directory: a lock of the system, which ends with the process that holds it, however that ends; and in its
//! file who that is, with a beat, for other machines, to which the system's lock may mean nothing.

mod flock;
mod heart;
mod judge;
mod lease;
mod machine;
mod pace;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

pub use self::flock::has_no_locks;
pub use self::lease::Lease;
pub use self::pace::Pace;
pub use self::watch::{Waiting, Watch};

use self::watch::{Means, created};
use crate::FileError;

/// The name of a lock within its directory.
pub const LOCK: &str = "lock";

/// The lock of a directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// It holds the system's lock.
    file: File,
    /// None where the lock was only looked at.
    lease: Option<Lease>,
}

/// What a directory's lock says.
#[derive(Debug)]
pub enum Owner {
    /// No process: what is there was left behind. Nobody else takes it as long as this value lives. There is no lock
    /// where the directory has none.
    Nobody(Option<Lock>),
    /// A process at work.
    Process(String),
    /// A process of another machine, or one of which the system does not say whether it is there: it is gone if its lock
    /// stays as it is.
    Unheard {
        /// Which.
        process: String,
        /// For so long.
        left: Duration,
    },
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
        match created(&path, Means::default()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !directory.exists() => {
                Ok(None)
            }
            made => made.map_err(FileError::write(&path)),
        }
    }

    /// Lock a directory that others may know, and that need not have a lock yet: [`Owner::Nobody`] with the lock, or who
    /// has it. Nobody is waited for, as [`Watch`] does.
    ///
    /// # Errors
    /// [`FileError::Write`] of the lock.
    pub fn take(directory: impl AsRef<Path>) -> Result<Owner, FileError> {
        Watch::new(directory).take()
    }

    /// Who holds the lock of a directory that was found. The lock stays as it is.
    ///
    /// # Errors
    /// [`FileError::Read`] of the lock.
    pub fn owner(directory: impl AsRef<Path>) -> Result<Owner, FileError> {
        Self::owner_of_file(directory.as_ref().join(LOCK))
    }

    /// [`Lock::owner`] of a lock that is the file `path`.
    ///
    /// # Errors
    /// [`FileError::Read`] of the lock.
    pub fn owner_of_file(path: impl AsRef<Path>) -> Result<Owner, FileError> {
        let path = path.as_ref();
        let owner = Watch::of_file(path).owner();
        owner.map_err(FileError::read(path))
    }

    /// That this process holds the lock; none where it was only looked at.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether another process has the lock, as [`Lease::is_lost`].
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_lost)
    }

    /// Who has the lock instead of this process, as [`Lease::new_holder`].
    ///
    /// # Errors
    /// [`FileError::Read`] if it can't be told.
    pub fn new_holder(&self) -> Result<Option<String>, FileError> {
        self.lease.as_ref().map_or(Ok(None), Lease::new_holder)
    }

    /// The directory is about to be called `directory`.
    pub fn moves_to(&self, directory: impl AsRef<Path>) {
        if let Some(lease) = &self.lease {
            lease.is_at(directory.as_ref().join(LOCK));
        }
    }

    /// Remove the lock of a directory that needs none any more.
    pub fn remove(&self, directory: impl AsRef<Path>) {
        self.remove_file(directory.as_ref().join(LOCK));
    }

    /// [`Lock::remove`] of one that is the file `path`.
    pub fn remove_file(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        // One that was lost is another's.
        let is_ours = match &self.lease {
            Some(lease) => lease.wrote(path),
            None => is_at(&self.file, path),
        };
        if is_ours {
            // A lock that stays is no more than a small file.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While the system's lock is still held.
        if let Some(lease) = &self.lease {
            lease.end();
        }
    }
}

/// Whether the lock of a directory was written by this module, or is about to be.
pub(crate) fn may_be_ours(directory: &Path) -> bool {
    let text = fs::read_to_string(directory.join(LOCK));
    text.is_ok_and(|text| text.is_empty() || text.starts_with(text::HOLDER))
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
