//! The system's own locks, which some file systems have not.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};

/// What the system says of a lock that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flock {
    /// It is ours now.
    Had,
    /// Another one has it.
    Held,
    /// There are no locks on this file system.
    Missing,
}

/// How the system is asked; tests have systems of their own.
pub(super) type TryLock = fn(&File) -> Result<(), TryLockError>;

/// Ask for the lock of an open file.
pub(super) fn flock(file: &File, try_lock: TryLock) -> io::Result<Flock> {
    match try_lock(file) {
        Ok(()) => Ok(Flock::Had),
        Err(TryLockError::WouldBlock) => Ok(Flock::Held),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Flock::Missing),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an error of locking a file says that its file system has no locks, as network file systems do that are mounted
/// so, or whose server of locks is away.
#[must_use]
pub fn has_no_locks(error: &io::Error) -> bool {
    // That is ENOSYS and EOPNOTSUPP.
    error.kind() == ErrorKind::Unsupported || is_out_of_locks(error)
}

#[cfg(unix)]
fn is_out_of_locks(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

#[cfg(not(unix))]
fn is_out_of_locks(_error: &io::Error) -> bool {
    false
}
