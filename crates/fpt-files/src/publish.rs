//! Directories that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::FileError;
use crate::whole::{plain, sync_directory};

/// Bring all files below the directory `from` to the disk, then give it the name `to`, and bring that to the disk too.
/// Nothing is replaced but an empty directory.
///
/// # Errors
/// [`FileError::Write`] of `to`.
pub fn publish(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FileError> {
    let (from, to) = (from.as_ref(), plain(to.as_ref()));
    sync_tree(from)
        .and_then(|()| fs::rename(from, &to))
        .and_then(|()| sync_directory(&to))
        .map_err(FileError::write(&to))
}

/// Bring all files below a directory to the disk.
fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_directory(&directory.join("any"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gets_its_name_with_all_that_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("made/below")).unwrap();
        fs::write(path("made/below/file"), "text").unwrap();
        // However the name ends.
        publish(path("made"), path("named/.")).unwrap();
        assert!(!path("made").exists());
        assert_eq!(fs::read(path("named/below/file")).unwrap(), b"text");

        fs::create_dir(path("made")).unwrap();
        fs::write(path("made/other"), "").unwrap();
        let error = publish(path("made"), path("named")).unwrap_err();
        assert!(error.to_string().contains("named"), "{error}");
        assert!(path("made/other").exists() && path("named/below/file").exists());
    }
}
