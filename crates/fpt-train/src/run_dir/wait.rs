//! Waiting for another process that has a directory.

use std::path::Path;
use std::time::Duration;

use fpt_files::{Owner, Pace, Waiting, Watch};

use crate::TrainError;

/// How long another process may still hold a directory: whoever was told to stop just now is writing down what it has.
pub(super) const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 10 });

/// How long locks of other machines are watched.
pub(crate) fn pace() -> Pace {
    if cfg!(test) {
        Pace {
            silence: Duration::from_secs(5),
            settle: Duration::from_millis(100),
            ..Pace::default()
        }
    } else {
        Pace::default()
    }
}

/// [`Watch::wait`] for the lock of a directory, with `patience`.
///
/// # Errors
/// [`TrainError::Busy`] names the process that has it; [`TrainError::File`] if it can't be told.
pub(super) fn wait(
    directory: &Path,
    patience: Duration,
    take: fn(&mut Watch) -> Result<Owner, fpt_files::FileError>,
    goes_on: &mut dyn FnMut(&Waiting<'_>) -> bool,
) -> Result<Owner, TrainError> {
    let mut watch = Watch::new(directory).at(pace());
    match watch.wait(patience, take, goes_on)? {
        Owner::Process(owner) | Owner::Unheard { process: owner, .. } => Err(TrainError::Busy {
            path: directory.to_path_buf(),
            owner,
        }),
        nobody => Ok(nobody),
    }
}
