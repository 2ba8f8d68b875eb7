//! What the files of a finished run are, by content: `SHA256SUMS`, as `sha256sum --check` reads it too.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_files::{Fingerprint, LOCK};

use crate::TrainError;

/// The list's own name.
pub(super) const NAME: &str = "SHA256SUMS";
/// What goes when the run is finished.
const LEFT_OUT: [&str; 3] = [NAME, LOCK, crate::checkpoint::DIRECTORY];

/// The list of the files of a run.
pub(super) fn of(run: &Path) -> Result<String, TrainError> {
    let mut lines = String::new();
    for name in files(run, Path::new(""))? {
        let digest = Fingerprint::new().file(run.join(&name))?.hex();
        // Names of runs' files are ours, and texts.
        lines.push_str(&format!("{digest}  {}\n", name.display()));
    }
    Ok(lines)
}

/// That the files of a finished run are those that it wrote. One of before there were lists passes.
///
/// # Errors
/// [`TrainError::Damaged`] names the first that is not.
pub(super) fn check(run: &Path) -> Result<(), TrainError> {
    let list = run.join(NAME);
    if !list.exists() {
        return Ok(());
    }
    let damaged = |reason: String| TrainError::Damaged {
        path: run.to_path_buf(),
        reason,
    };
    let text = fs::read_to_string(&list).map_err(|error| TrainError::output(&list, error))?;
    let mut any = false;
    for line in text.lines() {
        let (digest, name) = (line.split_once("  "))
            .ok_or_else(|| damaged(format!("{NAME} is not what was written")))?;
        let path = run.join(name);
        if !path.is_file() {
            return Err(damaged(format!("{name} is missing")));
        }
        if Fingerprint::new().file(&path)?.hex() != digest {
            return Err(damaged(format!("{name} is not what was written")));
        }
        any = true;
    }
    if any && text.ends_with('\n') {
        Ok(())
    } else {
        Err(damaged(format!("{NAME} is not what was written")))
    }
}

/// The files below `run`, by their names in it, in order.
fn files(run: &Path, below: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let directory = run.join(below);
    let failed = |error| TrainError::output(&directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = below.join(entry.file_name());
        if LEFT_OUT.iter().any(|left_out| name == Path::new(left_out)) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            found.extend(files(run, &name)?);
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
