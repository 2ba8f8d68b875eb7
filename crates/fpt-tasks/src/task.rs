//! What a task is: the trait that owns all facts of one.

use std::fmt;
use std::io::BufRead;
use std::path::Path;

use crate::files::{open, scan_whole};
use crate::read::Collect;
use crate::{
    Baseline, Dataset, Example, PaperFigures, ScoreError, Scores, Sink, Split, Submission,
    TaskError, TaskName, baseline,
};

/// The stacks of a model that its partial models reduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stacks {
    /// Only the encoder: where targets are a few tokens, the decoder costs next to nothing.
    Encoder,
    /// Both.
    Both,
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

    /// Other names under which [`split_path`](crate::split_path) looks for a split's file.
    fn other_files(&self, _split: Split) -> Vec<&str> {
        Vec::new()
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

    /// The limit on the target, in tokens with the sentinel and `</s>`; of the paper's tasks the paper's.
    fn max_target_length(&self) -> usize;

    /// The stacks that are reduced unless a schedule says which.
    fn reduced_stacks(&self) -> Stacks;

    /// As what an example that has a target counts in a [`Report`](crate::Report), where the task has labels or the
    /// like.
    fn label<'a>(&self, _example: &'a Example) -> Option<&'a str> {
        None
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
