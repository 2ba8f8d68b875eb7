//! What a task is: the trait that owns all facts of one.

use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{open, scan_whole};
use crate::read::Collect;
use crate::{
    Baseline, Dataset, Example, Gold, PaperFigures, ScoreError, Scores, Sink, Split, Submission,
    TaskError, TaskName, baseline,
};

/// The stacks of a model that its partial models reduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stacks {
    /// Only the encoder: where targets are a few tokens, the decoder costs next to nothing.
    Encoder,
    /// Both.
    Both,
}

/// How the answer to an example is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// It is generated.
    Generated,
    /// It is the most probable of the task's [labels](Task::labels).
    Ranked,
}

/// A text-to-text task: how its files become examples, how predictions are scored, and whatever else
/// differs from task to task.
pub trait Task: fmt::Debug + Send + Sync {
    /// Its name, which is also that of its directory.
    fn name(&self) -> TaskName;

    /// All facts that determine which examples and scores the task gives, as a text that stays the same as long as
    /// they do. Of the paper's tasks their name and the version of their reader and scores.
    fn declaration(&self) -> String;

    /// The name of a split's file, as its publishers have it.
    fn file(&self, split: Split) -> &str;

    /// Other names under which [`path`](Self::path) looks for a split's file.
    fn other_files(&self, _split: Split) -> Vec<&str> {
        Vec::new()
    }

    /// Where a split lies, or is to be put: `<data>/<name>/<file>`, for example `data/squad2/dev-v2.0.json`. Where that
    /// file is missing but one of [`other_files`](Self::other_files) is there, that one. `None` where the task has no such
    /// split.
    fn path(&self, data: &Path, split: Split) -> Option<PathBuf> {
        let directory = data.join(self.name().as_str());
        let path = directory.join(self.file(split));
        if path.exists() {
            return Some(path);
        }
        let others = self.other_files(split).into_iter();
        let mut others = others.map(|name| directory.join(name));
        Some(others.find(|other| other.exists()).unwrap_or(path))
    }

    /// The format of a file in a few words, for the error about one without examples; where a task has several
    /// formats, the extension of `path` tells which.
    fn expected(&self, path: &Path) -> &str;

    /// Reads the task's format from `reader` into `sink`: the examples, and everything that is odd or wrong. `path` is
    /// for messages, and where a task has several formats its extension tells which. To have no example is
    /// no error here: [`read_from`](Self::read_from) and [`check`](crate::check()) see to that.
    ///
    /// # Errors
    /// What `sink` does not want to go on after, and what can't be gone on after; the message names file and line.
    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError>;

    /// Reads the task's format from `reader`, as [`scan`](Self::scan) does.
    ///
    /// # Errors
    /// When the content is not in the task's format, or there is no example; the message names file and line.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        let mut sink = Collect::default();
        scan_whole(self, reader, path, &mut sink)?;
        Ok(sink.into_dataset())
    }

    /// Reads a file in the task's format.
    ///
    /// # Errors
    /// As [`read_from`](Self::read_from), and when the file can't be opened.
    fn read(&self, path: &Path) -> Result<Dataset, TaskError> {
        self.read_from(&mut open(path)?, path)
    }

    /// The examples of a split among those of its file, at `path`: all of them, unless several splits share the file.
    ///
    /// # Errors
    /// When there are none that can be used.
    fn of_split(
        &self,
        dataset: Dataset,
        _path: &Path,
        _split: Split,
    ) -> Result<Dataset, TaskError> {
        Ok(dataset)
    }

    /// The limit on the target, in tokens with the sentinel and `</s>`; of the paper's tasks the paper's.
    fn max_target_length(&self) -> usize;

    /// The stacks that are reduced unless a schedule says which.
    fn reduced_stacks(&self) -> Stacks;

    /// As what an example that has a target counts in a [`Report`](crate::Report), where the task has labels or the
    /// like.
    fn label<'a>(&self, _example: &'a Example) -> Option<&'a str> {
        None
    }

    /// The targets that there are, where they are labels; else none.
    fn labels(&self) -> Vec<&str> {
        Vec::new()
    }

    /// How the task's files write an answer that is a label; `None` for any other answer.
    fn as_in_files(&self, _answer: &str) -> Option<&str> {
        None
    }

    /// How answers are found.
    fn answers(&self) -> Answers {
        Answers::Generated
    }

    /// Whether an answer is right; `None` where the right one is hidden. Unless a task knows better, one that is a right
    /// answer character by character, but for blanks around it.
    fn is_right(&self, example: &Example, answer: &str) -> Option<bool> {
        match &example.gold {
            Gold::Hidden => None,
            Gold::Answers(right) => Some(right.iter().any(|gold| gold.trim() == answer.trim())),
        }
    }

    /// Scores one prediction for each example, in percent. Predictions are compared after
    /// trimming; they carry no sentinel.
    ///
    /// # Errors
    /// When the numbers differ, when there is no example, or when an answer is hidden.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError>;

    /// What predicting without reading scores on `eval`; `train` is where it may look. Unless a task has something
    /// better, the most frequent target.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    fn baseline(&self, train: &[Example], eval: &[Example]) -> Result<Baseline, ScoreError> {
        baseline::majority(self, train, eval)
    }

    /// How predictions are handed in; unless a leaderboard wants another form, one a line in `<name>.txt`.
    fn submission(&self) -> Submission<'_> {
        Submission::lines(&self.name())
    }

    /// The command, or some words, that tell how the task's files come into `<data>/<name>`; `None` where
    /// nobody but the user knows.
    fn how_to_get(&self, _data: &Path) -> Option<String> {
        None
    }

    /// What the paper reports of the task, if it has it.
    fn paper(&self) -> Option<PaperFigures> {
        None
    }
}
