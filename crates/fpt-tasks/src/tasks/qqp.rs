//! QQP: do two questions ask the same?

use std::{io::BufRead, path::Path};

use super::Task;
use crate::{
    Dataset, Example, ScoreError, Scores, Split, TaskError, TaskKind,
    metrics::{
        self,
        classification::{accuracy, binary_f1},
    },
    read::{Header, Lines, Sink, read_rows},
};

pub(super) const EXPECTED: &str =
    "a GLUE table with the columns question1, question2 and is_duplicate";
pub(crate) const NEGATIVE: &str = "not_duplicate";
pub(crate) const POSITIVE: &str = "is_duplicate";

/// QQP in GLUE's files. Source `question1: {question1} question2: {question2}`, target
/// `not_duplicate` or `is_duplicate`.
#[derive(Debug, Clone, Copy)]
pub struct Qqp;

impl Task for Qqp {
    fn kind(&self) -> TaskKind {
        TaskKind::Qqp
    }

    fn file(&self, split: Split) -> &'static str {
        match split {
            Split::Train => "train.tsv",
            Split::Dev => "dev.tsv",
            Split::Test => "test.tsv",
        }
    }

    /// The published files have a few rows of the wrong width; they are skipped with a warning.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        super::collect(self.kind(), reader, path)
    }

    fn max_target_length(&self) -> usize {
        10
    }

    /// `accuracy`; `f1` of `is_duplicate`; `paper_f1`, the same but with every prediction that is
    /// neither label counted as `is_duplicate`, as the authors do; the mean is that of `accuracy`
    /// and `paper_f1`.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::single_answers(examples, predictions)?;
        let f1 = |positive: fn(&str) -> bool| {
            binary_f1(
                pairs
                    .iter()
                    .map(|&(p, gold)| (positive(p), gold == POSITIVE)),
            )
        };
        let values = [
            ("f1", f1(|p| p == POSITIVE)),
            ("paper_f1", f1(|p| p != NEGATIVE)),
            ("accuracy", accuracy(pairs)),
        ];
        Ok(Scores::new("accuracy", &["accuracy", "paper_f1"], values))
    }
}

/// See [`Qqp::read_from`].
pub(super) fn scan(
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let mut lines = Lines::new(reader, path);
    let header = Header::read(&mut lines, EXPECTED)?;
    let Some([first, second]) = header.require(path, ["question1", "question2"], sink)? else {
        return Ok(());
    };
    let label = header.find("is_duplicate");
    let id = header.find("id");
    read_rows(lines, header.len(), sink, &mut |row, sink| {
        let (first, second) = (row.cells[first], row.cells[second]);
        row.fields(sink, &[("question1", first), ("question2", second)]);
        let target = match label.map(|column| row.cells[column]) {
            None => None,
            Some("0") => Some(NEGATIVE),
            Some("1") => Some(POSITIVE),
            Some(other) => {
                let reason = format!("is_duplicate is `{other}`; expected 0 or 1");
                return sink.fault(row.error(reason));
            }
        };
        let source = format!("question1: {first} question2: {second}");
        row.example(sink, id, source, target);
        Ok(())
    })
}
