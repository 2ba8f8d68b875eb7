//! Directories whose files appear together or not at all.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::whole::sync_directory;
use crate::{FileError, FreshDirectory};

/// Have `fill` write files, and no directories, into a new directory, and give it the name `path` when it succeeds. The
/// files should be on the disk then, as those of [`crate::write()`] are.
///
/// If there is a directory `path` already, what `fill` wrote is moved into it, file by file, and nothing in it is
/// replaced. Only a process that is killed between the first of these files and the last can leave a part of them. What
/// else a killed process leaves goes with the next call.
///
/// # Errors
/// Those of `fill`, and [`FileError::Write`]. All is as it was then, but for directories above `path`.
pub fn write_directory<E: From<FileError>>(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let path = path.as_ref();
    let there = path.is_dir();
    let fresh = if there {
        FreshDirectory::within(path, path)?
    } else {
        FreshDirectory::beside(path)?
    };
    fill(&fresh.path())?;
    if there {
        move_files(&fresh.path(), path).map_err(FileError::write(path))?;
    } else {
        fresh.publish(path)?;
    }
    Ok(())
}

fn move_files(fresh: &Path, path: &Path) -> io::Result<()> {
    let names = fs::read_dir(fresh)?.map(|entry| Ok(entry?.file_name()));
    let mut names: Vec<OsString> = names.collect::<io::Result<_>>()?;
    names.sort();
    let in_the_way = |name: &&OsString| path.join(name).symlink_metadata().is_ok();
    if let Some(name) = names.iter().find(in_the_way) {
        let reason = format!("it has a file {} already", name.display());
        return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
    }
    for (moved, name) in names.iter().enumerate() {
        if let Err(error) = fs::rename(fresh.join(name), path.join(name)) {
            for name in &names[..moved] {
                // The error says why nothing is here; more can't be done.
                let _ = fs::remove_file(path.join(name));
            }
            return Err(error);
        }
    }
    sync_directory(&path.join("file"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::listing::names;
    use crate::with_causes;

    fn two(directory: &Path) -> Result<(), FileError> {
        crate::write(directory.join("a"), "1")?;
        crate::write(directory.join("b"), "2")
    }

    fn targets(root: &Path) -> [PathBuf; 2] {
        fs::create_dir(root.join("there")).unwrap();
        [root.join("new"), root.join("there")]
    }

    #[test]
    fn all_files_appear() {
        let root = tempfile::tempdir().unwrap();
        for target in targets(root.path()) {
            write_directory(&target, two).unwrap();
            assert_eq!(names(&target), ["a", "b"]);
        }
        let below = root.path().join("x/y");
        write_directory(&below, two).unwrap();
        assert_eq!(names(&below), ["a", "b"]);
        assert_eq!(names(root.path()), ["new", "there", "x"]);
    }

    #[test]
    fn a_failure_midway_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let [new, there] = targets(root.path());
        fs::write(there.join("note"), "mine").unwrap();
        for target in [&new, &there] {
            let error = write_directory(target, |directory| {
                two(directory)?;
                fs::write(directory.join("half"), "").unwrap();
                Err(FileError::damaged(target, "no more".into()))
            });
            assert!(error.unwrap_err().to_string().contains("no more"));
            assert!(!new.exists());
            assert_eq!(names(&there), ["note"]);
        }
        assert_eq!(names(root.path()), ["there"]);
    }

    #[test]
    fn nothing_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("b"), "mine").unwrap();
        let error = with_causes(&write_directory(root.path(), two).unwrap_err());
        assert!(error.contains("a file b already"), "{error}");
        assert_eq!(names(root.path()), ["b"]);
        assert_eq!(fs::read_to_string(root.path().join("b")).unwrap(), "mine");

        let error = write_directory(root.path().join("b"), two).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(names(root.path()), ["b"]);
    }
}
