//! Where the files of tasks lie, and reading them whole.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::{Dataset, Sink, Split, Task, TaskError};

/// Reads a split from [where it lies](Task::path). Dev and test come as
/// [evaluation sets](Dataset::evaluation), every query once.
///
/// # Errors
/// As [`Task::read`], and when an example of train or dev has no label.
pub fn read_split(dir: &Path, task: &dyn Task, split: Split) -> Result<Dataset, TaskError> {
    let Some(path) = task.path(dir, split) else {
        return Err(TaskError::NoSplit {
            task: task.name(),
            split,
        });
    };
    let dataset = task.of_split(task.read(&path)?, &path, split)?;
    if split != Split::Test
        && let Some(example) = dataset.examples.iter().find(|e| e.target.is_none())
    {
        return Err(TaskError::Unlabelled {
            path,
            id: example.id.clone(),
        });
    }
    Ok(match split {
        Split::Train => dataset,
        Split::Dev | Split::Test => dataset.evaluation(),
    })
}

/// What the text begins with that Git LFS puts in place of a large file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v";

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<BufReader<File>, TaskError> {
    let file = File::open(path).map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// [`Task::scan`] of a file that must have examples.
pub(crate) fn scan_whole<T: Task + ?Sized>(
    task: &T,
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let start = reader.fill_buf().map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })?;
    if start.starts_with(LFS_POINTER) {
        return Err(TaskError::LfsPointer {
            path: path.to_owned(),
        });
    }
    task.scan(reader, path, sink)?;
    if sink.found() > 0 {
        return Ok(());
    }
    sink.fault(TaskError::Empty {
        path: path.to_owned(),
        expected: task.expected(path).to_owned(),
    })
}
