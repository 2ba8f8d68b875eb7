//! The last states of something that goes on, in files of which one may be damaged.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::{FileError, SealedFormat};

/// The checkpoints in a directory: sealed files `step-<number>.fpt`, whose numbers grow. The last two are kept.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    format: SealedFormat,
}

impl Checkpoints {
    /// Those in `directory`, which need not be there. One process at a time may write them.
    pub fn new(directory: impl Into<PathBuf>, format: SealedFormat) -> Self {
        Self {
            directory: directory.into(),
            format,
        }
    }

    /// Write the one after so many steps, to the disk. Then the one before it is kept, and no other: those after it were
    /// passed over.
    ///
    /// # Errors
    /// [`FileError::Write`]; those that are there stay then.
    pub fn write(&self, step: usize, content: &[u8]) -> Result<(), FileError> {
        crate::create_directory(&self.directory)?;
        let path = self.path(step);
        self.format.write(&path, content)?;
        let files = self.files()?;
        let place = files.iter().position(|file| *file == path);
        let before = place.and_then(|place| files.get(place.checked_sub(1)?));
        for file in &files {
            if *file != path && Some(file) != before {
                // One more does no harm.
                let _ = fs::remove_file(file);
            }
        }
        // Of processes that were killed while they wrote one.
        crate::remove_stale(&self.directory, Duration::ZERO, is_one);
        Ok(())
    }

    /// What `read` makes of the content of the newest one. One that can't be read, or is damaged, or that `read` refuses,
    /// is `passed_over`, and the one before it counts.
    ///
    /// # Errors
    /// [`FileError::Read`] of the directory, or of the newest one that can't be read where no other is whole: what can't be
    /// read now may be the work of days. Those of `passed_over`.
    pub fn newest<T, E: From<FileError>>(
        &self,
        mut read: impl FnMut(&[u8]) -> Result<T, String>,
        mut passed_over: impl FnMut(String) -> Result<(), E>,
    ) -> Result<Option<T>, E> {
        let mut unread = None;
        for path in self.files()?.into_iter().rev() {
            let found = match fs::read(&path) {
                Ok(bytes) => self.format.read(&bytes).and_then(&mut read),
                Err(error) => {
                    let reason = error.to_string();
                    unread.get_or_insert_with(|| FileError::read(&path)(error));
                    Err(reason)
                }
            };
            match found {
                Ok(found) => return Ok(Some(found)),
                Err(reason) => passed_over(format!("{} is of no use: {reason}", path.display()))?,
            }
        }
        unread.map_or(Ok(None), |error| Err(error.into()))
    }

    fn path(&self, step: usize) -> PathBuf {
        self.directory.join(format!("step-{step:010}.fpt"))
    }

    /// Oldest first: their names sort by step.
    fn files(&self) -> Result<Vec<PathBuf>, FileError> {
        if !self.directory.exists() {
            return Ok(Vec::new());
        }
        let failed = |error| FileError::read(&self.directory)(error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(is_one) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Whether a name is that of a checkpoint.
fn is_one(name: &str) -> bool {
    let step = name.strip_prefix("step-");
    let step = step.and_then(|name| name.strip_suffix(".fpt"));
    step.is_some_and(|step| step.len() == 10 && step.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::listing::names;

    const FORMAT: SealedFormat = SealedFormat {
        kind: "kind",
        version: 1,
        oldest: 1,
    };

    /// The newest one, and what was passed over.
    fn newest(checkpoints: &Checkpoints) -> (Option<Vec<u8>>, Vec<String>) {
        let mut told = Vec::new();
        let read = |content: &[u8]| Ok(content.to_vec());
        let tell = |line| {
            told.push(line);
            Ok::<_, FileError>(())
        };
        let found = checkpoints.newest(read, tell).unwrap();
        (found, told)
    }

    #[test]
    fn the_last_two_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("below");
        let checkpoints = Checkpoints::new(&directory, FORMAT);
        assert_eq!(newest(&checkpoints), (None, vec![]));
        for step in [5, 10, 900] {
            checkpoints
                .write(step, step.to_string().as_bytes())
                .unwrap();
        }
        fs::write(directory.join("step-1.fpt"), "theirs").unwrap();
        let half = directory.join(".step-0000000020.fpt.aB3xY9.tmp");
        fs::write(half, "half").unwrap();
        let last = ["step-0000000010.fpt", "step-0000000900.fpt"];
        let theirs = "step-1.fpt";
        assert_eq!(names(&directory)[1..], [last[0], last[1], theirs]);
        assert_eq!(newest(&checkpoints), (Some(b"900".to_vec()), vec![]));

        // A damaged one is passed over, and gone with the next.
        fs::write(directory.join(last[1]), "half").unwrap();
        let (found, told) = newest(&checkpoints);
        assert_eq!(found.as_deref(), Some(&b"10"[..]));
        assert!(
            told[0].contains(last[1]) && told[0].contains("damaged"),
            "{told:?}"
        );
        checkpoints.write(20, b"20").unwrap();
        assert_eq!(names(&directory), [last[0], "step-0000000020.fpt", theirs]);
    }

    #[test]
    fn one_that_cannot_be_written_leaves_those_that_are_there() {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(place.path(), FORMAT);
        checkpoints.write(1, b"1").unwrap();
        checkpoints.write(2, b"2").unwrap();
        fs::create_dir(place.path().join("step-0000000003.fpt")).unwrap();
        assert!(checkpoints.write(3, b"3").is_err());
        let (found, told) = newest(&checkpoints);
        assert_eq!((found.as_deref(), told.len()), (Some(&b"2"[..]), 1));
        assert_eq!(names(place.path()).len(), 3);
    }

    #[test]
    fn what_cannot_be_read_now_is_not_taken_for_nothing() {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(place.path(), FORMAT);
        fs::write(place.path().join("step-0000000001.fpt"), "half").unwrap();
        assert_eq!(newest(&checkpoints).0, None);
        // To read a directory is an error, whoever reads.
        fs::create_dir(place.path().join("step-0000000002.fpt")).unwrap();
        let read = |content: &[u8]| Ok(content.to_vec());
        let error = checkpoints.newest(read, |_| Ok::<_, FileError>(()));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("step-0000000002.fpt"), "{message}");
    }
}
