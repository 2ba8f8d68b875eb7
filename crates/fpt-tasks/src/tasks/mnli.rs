//! MNLI: does the premise entail the hypothesis?

use std::{io::BufRead, path::Path};

use super::Task;
use crate::{
    Dataset, Example, ScoreError, Scores, Split, TaskError, TaskKind,
    metrics::{self, classification::accuracy},
    read::{Header, Lines, read_rows},
};

const EXPECTED: &str = "a GLUE table with the columns sentence1, sentence2 and gold_label";
const LABELS: [&str; 3] = ["contradiction", "entailment", "neutral"];

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
        let mut lines = Lines::new(reader, path);
        let header = Header::read(&mut lines, EXPECTED)?;
        let premise = header.require(path, "sentence1")?;
        let hypothesis = header.require(path, "sentence2")?;
        let label = header.find("gold_label");
        let id = header.find("index");
        read_rows(lines, header.len(), EXPECTED, &mut |row, warnings| {
            let target = label.map(|column| row.cells[column]);
            match target {
                Some("-") => {
                    warnings.push(row.warning("no gold label (`-`); skipped"));
                    return Ok(None);
                }
                Some(label) if !LABELS.contains(&label) => {
                    let valid = LABELS.join(", ");
                    return Err(
                        row.error(format!("gold_label is `{label}`; expected {valid} or -"))
                    );
                }
                _ => {}
            }
            let source = format!(
                "hypothesis: {} premise: {}",
                row.cells[hypothesis], row.cells[premise]
            );
            Ok(Some(row.example(id, source, target)))
        })
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
