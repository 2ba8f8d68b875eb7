//! The five tasks: file to examples, predictions to scores.

mod baseline;
pub(crate) mod mnli;
pub(crate) mod qqp;
mod record;
pub(crate) mod squad2;
mod xsum;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

pub use baseline::Baseline;
pub use mnli::Mnli;
pub use qqp::Qqp;
pub use record::Record;
pub use squad2::Squad2;
pub use xsum::Xsum;

use crate::{
    Dataset, Example, ScoreError, Scores, Split, TaskError, TaskKind,
    read::{Collect, Sink},
};

/// A text-to-text task: how its files become examples and how predictions are scored.
pub trait Task: Sync {
    /// Which task it is.
    fn kind(&self) -> TaskKind;

    /// The name of a split's file, as its publishers have it.
    fn file(&self, split: Split) -> &'static str;

    /// Other names under which [`split_path`] looks for a split's file; only XSum has some.
    fn other_files(&self, _split: Split) -> &'static [&'static str] {
        &[]
    }

    /// Reads the task's native format from `reader`; `path` is for messages, and where a task has
    /// several formats (XSum) its extension tells which.
    ///
    /// # Errors
    /// When the content is not in the task's format; the message names file and line.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError>;

    /// Reads a file in the task's native format.
    ///
    /// # Errors
    /// As [`read_from`](Self::read_from), and when the file can't be opened.
    fn read(&self, path: &Path) -> Result<Dataset, TaskError> {
        self.read_from(&mut open(path)?, path)
    }

    /// The paper's limit on the target, in tokens with the sentinel and `</s>`.
    fn max_target_length(&self) -> usize;

    /// Scores one prediction for each example, in percent. Predictions are compared after
    /// trimming; they carry no sentinel.
    ///
    /// # Errors
    /// When the numbers differ, when there is no example, or when an answer is hidden.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError>;

    /// What predicting without reading scores on `eval`; `train` is where it may look.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    fn baseline(&self, train: &[Example], eval: &[Example]) -> Result<Baseline, ScoreError> {
        baseline::majority(self.kind(), train, eval)
    }
}

/// The task of that name.
pub fn task(kind: TaskKind) -> &'static dyn Task {
    match kind {
        TaskKind::Mnli => &Mnli,
        TaskKind::Qqp => &Qqp,
        TaskKind::Squad2 => &Squad2,
        TaskKind::Record => &Record,
        TaskKind::Xsum => &Xsum,
    }
}

/// Where a split lies: `<dir>/<task>/<file>`, for example `data/squad2/dev-v2.0.json`. Where that
/// file is missing but one of [`Task::other_files`] is there, that one.
pub fn split_path(dir: &Path, kind: TaskKind, split: Split) -> PathBuf {
    let (dir, task) = (dir.join(kind.name()), task(kind));
    let path = dir.join(task.file(split));
    if path.exists() {
        return path;
    }
    let mut others = task.other_files(split).iter().map(|name| dir.join(name));
    others.find(|other| other.exists()).unwrap_or(path)
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<BufReader<File>, TaskError> {
    let file = File::open(path).map_err(|source| TaskError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// Reads a file of a task into `sink`.
pub(crate) fn scan(
    kind: TaskKind,
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let expected = match kind {
        TaskKind::Mnli => mnli::scan(reader, path, sink).map(|()| mnli::EXPECTED),
        TaskKind::Qqp => qqp::scan(reader, path, sink).map(|()| qqp::EXPECTED),
        TaskKind::Squad2 => squad2::scan(reader, path, sink).map(|()| squad2::EXPECTED),
        TaskKind::Record => record::scan(reader, path, sink).map(|()| record::EXPECTED),
        TaskKind::Xsum => xsum::scan(reader, path, sink),
    }?;
    if sink.found() > 0 {
        return Ok(());
    }
    sink.fault(TaskError::Empty {
        path: path.to_owned(),
        expected,
    })
}

/// Reads a file of a task into a data set.
fn collect(kind: TaskKind, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
    let mut sink = Collect::default();
    scan(kind, reader, path, &mut sink)?;
    Ok(sink.into_dataset())
}

/// Reads a split from [`split_path`]. Dev and test come as
/// [evaluation sets](Dataset::evaluation), every query once.
///
/// # Errors
/// As [`Task::read`], and when an example of train or dev has no label.
pub fn read_split(dir: &Path, kind: TaskKind, split: Split) -> Result<Dataset, TaskError> {
    let path = split_path(dir, kind, split);
    let dataset = task(kind).read(&path)?;
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
