//! MNLI: does the premise entail the hypothesis?

use std::{io::BufRead, path::Path};

use super::Task;
use crate::{
    Dataset, Example, ScoreError, Scores, Split, TaskError, TaskKind,
    metrics::{self, classification::accuracy},
    read::{Header, Lines, Sink, read_rows},
};

pub(super) const EXPECTED: &str =
    "a GLUE table with the columns sentence1, sentence2 and gold_label";
pub(crate) const LABELS: [&str; 3] = ["contradiction", "entailment", "neutral"];

/// MNLI in GLUE's files: columns are found by their names, since train has 12, dev 16 and test 10
/// of them. Source `hypothesis: {sentence2} premise: {sentence1}`, target the label word.
#[derive(Debug, Clone, Copy)]
pub struct Mnli;

impl Task for Mnli {
    fn kind(&self) -> TaskKind {
        TaskKind::Mnli
    }

    fn file(&self, split: Split) -> &'static str {
        match split {
            Split::Train => "train.tsv",
            Split::Dev => "dev_matched.tsv",
            Split::Test => "test_matched.tsv",
        }
    }

    /// Rows whose annotators did not agree (gold label `-`) are skipped with a warning.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        super::collect(self.kind(), reader, path)
    }

    fn max_target_length(&self) -> usize {
        10
    }

    /// `accuracy`, which is also the mean.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::single_answers(examples, predictions)?;
        let accuracy = accuracy(pairs);
        Ok(Scores::new(
            "accuracy",
            &["accuracy"],
            [("accuracy", accuracy)],
        ))
    }
}

/// See [`Mnli::read_from`].
pub(super) fn scan(
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let mut lines = Lines::new(reader, path);
    let header = Header::read(&mut lines, EXPECTED)?;
    let Some([premise, hypothesis]) = header.require(path, ["sentence1", "sentence2"], sink)?
    else {
        return Ok(());
    };
    let label = header.find("gold_label");
    let id = header.find("index");
    read_rows(lines, header.len(), sink, &mut |row, sink| {
        let (premise, hypothesis) = (row.cells[premise], row.cells[hypothesis]);
        row.fields(sink, &[("sentence1", premise), ("sentence2", hypothesis)]);
        let target = label.map(|column| row.cells[column]);
        match target {
            Some("-") => {
                row.warn(sink, "no gold label (`-`); skipped");
                return Ok(());
            }
            Some(label) if !LABELS.contains(&label) => {
                let valid = LABELS.join(", ");
                let reason = format!("gold_label is `{label}`; expected {valid} or -");
                return sink.fault(row.error(reason));
            }
            _ => {}
        }
        let source = format!("hypothesis: {hypothesis} premise: {premise}");
        row.example(sink, id, source, target);
        Ok(())
    })
}
