//! Files that appear whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::FileError;

/// Write `bytes` to `path`, whole or not at all, and to the disk.
///
/// # Errors
/// [`FileError::Write`]; what was at `path` is as it was, unless the disk fails after the renaming.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), FileError> {
    write_with(path, |file| file.write_all(bytes.as_ref()))
}

/// As [`write()`], for content that is made while it is written. The file is not buffered: many small pieces want a
/// [`std::io::BufWriter`] around it.
///
/// # Errors
/// [`FileError::Write`], also if `write` fails.
pub fn write_with(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let path = path.as_ref();
    let whole = || -> io::Result<()> {
        let Some(target) = target(path)? else {
            return write(&mut File::options().write(true).open(path)?);
        };
        let mut file = temporary(&target)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&target)?;
        sync_directory(&target)
    };
    whole().map_err(FileError::write(path))
}

/// As [`write()`], for writers that want a path. They may replace the file that is there.
///
/// # Errors
/// [`FileError::Write`], also if `write` fails.
pub fn write_path(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), FileError> {
    let path = path.as_ref();
    let whole = || -> io::Result<()> {
        let Some(target) = target(path)? else {
            return write(path);
        };
        let (file, temporary) = temporary(&target)?.into_parts();
        let permissions = file.metadata()?.permissions();
        // Windows does not let a file be replaced that is open.
        drop(file);
        write(&temporary)?;
        fs::set_permissions(&temporary, permissions)?;
        File::options().write(true).open(&temporary)?.sync_all()?;
        temporary.persist(&target)?;
        sync_directory(&target)
    };
    whole().map_err(FileError::write(path))
}

/// Create a directory, and those above it, unless it is there already. New names are brought to the disk: whatever is
/// written below them would be lost with them.
///
/// # Errors
/// [`FileError::Write`].
pub fn create_directory(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    created(path).map_err(FileError::write(path))
}

/// Create the directories above `path` that are not there yet.
///
/// # Errors
/// [`FileError::Write`] of `path`, which is what was asked for.
pub fn create_parents(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    created(directory(path)).map_err(FileError::write(path))
}

fn created(path: &Path) -> io::Result<()> {
    let is_new = |path: &&Path| *path != Path::new("") && !path.exists();
    let new: Vec<&Path> = path.ancestors().take_while(is_new).collect();
    fs::create_dir_all(path)?;
    new.iter().rev().try_for_each(|made| sync_directory(made))
}

/// The file to replace: `path`, or what it points to as a symbolic link. None where there is a device, a pipe or the
/// like, that can be written to but not replaced.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    /// As Linux does.
    const MAX_LINKS: usize = 40;
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        _ => {}
    }
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if !target.is_symlink() {
            return Ok(Some(target));
        }
        target = directory(&target).join(fs::read_link(&target)?);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A path without `/` and `/.` at its end, which no directory can be renamed to or from.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.file_name()
        .map_or_else(|| path.to_path_buf(), |name| path.with_file_name(name))
}

/// The directory that `path` is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A new file beside `target`, that goes away unless it is persisted, with the permissions of any new file.
pub(crate) fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    let (prefix, suffix) = around(target);
    Builder::new()
        .prefix(&prefix)
        .suffix(suffix)
        // `tempfile` itself would keep the file from everybody else.
        .make_in(directory(target), |path| {
            File::options().write(true).create_new(true).open(path)
        })
}

/// What stands before and after the random part of a temporary name for `target`, `.NAME.XXXXXX.tmp`.
pub(crate) fn around(target: &Path) -> (String, &'static str) {
    /// Names have at most 255 bytes on most file systems, four of which may be one character.
    const MAX_CHARS: usize = 48;
    let name = target.file_name().unwrap_or(OsStr::new("file"));
    let name: String = name.to_string_lossy().chars().take(MAX_CHARS).collect();
    (format!(".{name}."), ".tmp")
}

/// Bring the new name `target` to the disk too, where directories can be opened and synced.
pub(crate) fn sync_directory(target: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let Ok(directory) = File::open(directory(target)) else {
        // It may be written to but not read.
        return Ok(());
    };
    match directory.sync_all() {
        // Some network file systems can't.
        Err(error) if [ErrorKind::InvalidInput, ErrorKind::Unsupported].contains(&error.kind()) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;
    use crate::listing::names;
    use crate::with_causes;

    #[test]
    fn files_are_written_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.txt");
        write(&path, "one").unwrap();
        write_with(&path, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        write_path(&path, |path| fs::write(path, "three")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let long = "ü".repeat(127);
        write(directory.path().join(&long), "").unwrap();
        assert_eq!(names(directory.path()), ["file.txt", &long]);
    }

    #[test]
    fn a_failure_leaves_all_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let with = |path: &Path| {
            write_with(path, |file| {
                file.write_all(b"half")?;
                Err(io::Error::other("no more"))
            })
        };
        let by_path = |path: &Path| {
            write_path(path, |path| {
                fs::write(path, "half")?;
                Err(io::Error::other("no more"))
            })
        };
        // This writer removes its own file, as some do when they fail.
        let removed = |path: &Path| {
            write_path(path, |path| {
                fs::remove_file(path)?;
                Err(io::Error::other("no more"))
            })
        };
        for there in [false, true] {
            for failing in [&with as &dyn Fn(&Path) -> _, &by_path, &removed] {
                let error: FileError = failing(&path).unwrap_err();
                let expected = format!("cannot write {}: no more", path.display());
                assert_eq!(with_causes(&error), expected);
                if there {
                    assert_eq!(names(directory.path()), ["file"]);
                    assert_eq!(fs::read(&path).unwrap(), b"whole");
                } else {
                    assert!(names(directory.path()).is_empty());
                }
            }
            write(&path, "whole").unwrap();
        }
    }

    #[test]
    fn of_many_writers_each_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content = |writer: u8| vec![writer; 100_000];
        thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..5 {
                        write(path, content(writer)).unwrap();
                        let found = fs::read(path).unwrap();
                        assert_eq!(found, content(found[0]));
                    }
                });
            }
        });
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn errors_name_the_target() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path().join("file"), "").unwrap();
        let mut targets = vec![
            directory.path().join("absent/file"),
            directory.path().join("file/below"),
            directory.path().to_path_buf(),
        ];
        if cfg!(target_os = "linux") {
            // Nobody can write here, whatever the permissions.
            targets.push("/proc/file".into());
        }
        for target in targets {
            let name = target.display().to_string();
            for error in [
                write(&target, "").unwrap_err(),
                write_path(&target, |path| fs::write(path, "")).unwrap_err(),
            ] {
                let error = with_causes(&error);
                let (start, reason) = error.split_at("cannot write ".len() + name.len() + 2);
                assert_eq!(start, format!("cannot write {name}: "));
                assert!(!reason.is_empty() && !reason.contains(".tmp"), "{error}");
            }
        }
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn parents_are_created_when_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/file");
        create_parents(&path).unwrap();
        create_parents("file").unwrap();
        write(&path, "").unwrap();
        let error = create_parents(path.join("below/it")).unwrap_err();
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt, symlink};
        use std::process::Command;

        use super::*;

        #[test]
        fn permissions_are_those_of_a_new_file() {
            let directory = tempfile::tempdir().unwrap();
            let mode = |name: &str| {
                let metadata = fs::metadata(directory.path().join(name)).unwrap();
                metadata.permissions().mode() & 0o777
            };
            fs::write(directory.path().join("plain"), "").unwrap();
            write(directory.path().join("whole"), "").unwrap();
            assert_eq!(mode("whole"), mode("plain"));

            let private = directory.path().join("private");
            fs::write(&private, "").unwrap();
            fs::set_permissions(&private, PermissionsExt::from_mode(0o400)).unwrap();
            // A copy has the permissions of the original, unless it is written whole.
            let copied = directory.path().join("copied");
            write_path(&copied, |path| fs::copy(&private, path).map(|_| ())).unwrap();
            assert_eq!(mode("copied"), mode("plain"));
            write(&private, "").unwrap();
            assert_eq!(mode("private"), mode("plain"));
        }

        #[test]
        fn what_a_link_points_to_is_replaced() {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name);
            fs::create_dir(path("below")).unwrap();
            symlink("second", path("first")).unwrap();
            symlink("below/file", path("second")).unwrap();
            for content in ["new", "newer"] {
                write(path("first"), content).unwrap();
                assert!(path("first").is_symlink() && path("second").is_symlink());
                assert_eq!(fs::read_to_string(path("below/file")).unwrap(), content);
            }
            assert_eq!(names(&path("below")), ["file"]);
            symlink("round", path("round")).unwrap();
            let error = with_causes(&write(path("round"), "").unwrap_err());
            assert!(
                error.contains("links") && error.contains("round"),
                "{error}"
            );
        }

        #[test]
        fn pipes_are_written_to() {
            let directory = tempfile::tempdir().unwrap();
            let pipe = directory.path().join("pipe");
            assert!(
                Command::new("mkfifo")
                    .arg(&pipe)
                    .status()
                    .unwrap()
                    .success()
            );
            let reader = thread::spawn({
                let pipe = pipe.clone();
                move || fs::read_to_string(pipe).unwrap()
            });
            write(&pipe, "through").unwrap();
            assert_eq!(reader.join().unwrap(), "through");
            assert_eq!(names(directory.path()), ["pipe"]);
        }
    }
}
