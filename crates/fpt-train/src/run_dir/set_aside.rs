//! Nothing is overwritten or deleted: what is in the way is moved.

use std::fs;
use std::path::{Path, PathBuf};

use crate::TrainError;

/// The directory, beside the runs, of what was set aside.
const NAME: &str = "set-aside";

/// Move the directory `path` into `set-aside/` beside it, under its name and the first free number, and tell where it is.
/// A report does not look there.
///
/// # Errors
/// [`TrainError::Output`] if it can't be moved.
pub fn set_aside(path: impl AsRef<Path>) -> Result<PathBuf, TrainError> {
    let path = path.as_ref();
    let place = path.with_file_name(NAME);
    fs::create_dir_all(&place).map_err(|error| TrainError::output(&place, error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 1;
    loop {
        let target = place.join(format!("{name}-{number}"));
        if !target.exists() {
            // A directory never replaces another that holds something, should one have appeared meanwhile.
            fs::rename(path, &target).map_err(|error| TrainError::output(path, error))?;
            return Ok(target);
        }
        number += 1;
    }
}
