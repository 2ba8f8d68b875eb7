//! Nothing is overwritten or deleted: what is in the way is moved.

use std::fs;
use std::path::{Path, PathBuf};

use crate::FileError;
use crate::whole::plain;

/// The directory of what was set aside.
const NAME: &str = "set-aside";

/// Move the directory `path` into `set-aside/` beside it, under its name and the first free number, and tell where it is.
/// A report of runs does not look there.
///
/// # Errors
/// [`FileError::Write`] if it can't be moved.
pub fn set_aside(path: impl AsRef<Path>) -> Result<PathBuf, FileError> {
    let path = &plain(path.as_ref());
    let place = path.with_file_name(NAME);
    crate::create_directory(&place)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 1;
    loop {
        let target = place.join(format!("{name}-{number}"));
        if !target.exists() {
            // A directory never replaces another that holds something, should one have appeared meanwhile.
            fs::rename(path, &target).map_err(FileError::write(path))?;
            return Ok(target);
        }
        number += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_kept() {
        let root = tempfile::tempdir().unwrap();
        for number in 1..4 {
            let path = root.path().join("run");
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), number.to_string()).unwrap();
            let kept = set_aside(path.join(".")).unwrap();
            assert_eq!(kept, root.path().join(format!("set-aside/run-{number}")));
            assert_eq!(
                fs::read_to_string(kept.join("file")).unwrap(),
                number.to_string()
            );
            assert!(!path.exists());
        }
        assert!(set_aside(root.path().join("run")).is_err());
    }
}
