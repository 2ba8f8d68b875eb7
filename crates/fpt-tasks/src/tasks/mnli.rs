//! MNLI: does the premise entail the hypothesis?

use std::io::BufRead;
use std::path::Path;

use super::GLUE;
use crate::metrics;
use crate::metrics::classification::accuracy;
use crate::{
    Example, LabelColumn, PaperFigures, ScoreError, Scores, Sink, Split, Stacks, Submission,
    SubmissionFormat, TableFormat, Task, TaskError, TaskName,
};

/// MNLI in GLUE's files: columns are found by their names, since train has 12, dev 16 and test 10
/// of them. Source `hypothesis: {sentence2} premise: {sentence1}`, target the label word. Rows whose annotators
/// did not agree (gold label `-`) are skipped with a warning.
#[derive(Debug, Clone, Copy)]
pub struct Mnli;

const TABLE: TableFormat<'_> = TableFormat {
    expected: "a GLUE table with the columns sentence1, sentence2 and gold_label",
    id: "index",
    texts: &["sentence1", "sentence2"],
    source: "hypothesis: {sentence2} premise: {sentence1}",
    label: LabelColumn {
        column: "gold_label",
        labels: &[
            ("contradiction", "contradiction"),
            ("entailment", "entailment"),
            ("neutral", "neutral"),
        ],
        unlabelled: Some("-"),
    },
};

const PAPER: PaperFigures = PaperFigures {
    flops_target: 5,
    t5_large: &[
        ("pt", 86.07),
        ("ld-1/4", 60.34),
        ("ld-1/2", 63.90),
        ("ld-3/4", 81.41),
        ("fr-1/4", 78.18),
        ("fr-1/2", 82.62),
        ("fr-3/4", 84.93),
        ("cr-1/4", 62.53),
        ("cr-1/2", 64.09),
        ("cr-3/4", 80.63),
        ("fpt-ld", 85.72),
        ("fpt-fr", 86.49),
        ("fpt-cr", 85.13),
    ],
};

impl Task for Mnli {
    fn name(&self) -> TaskName {
        TaskName::MNLI
    }

    fn declaration(&self) -> String {
        "mnli 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "train.tsv",
            Split::Dev => "dev_matched.tsv",
            Split::Test => "test_matched.tsv",
        }
    }

    fn expected(&self, _path: &Path) -> &str {
        TABLE.expected
    }

    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        TABLE.scan(reader, path, sink)
    }

    fn max_target_length(&self) -> usize {
        10
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Encoder
    }

    fn label<'a>(&self, example: &'a Example) -> Option<&'a str> {
        example.target.as_deref()
    }

    fn labels(&self) -> Vec<&str> {
        TABLE.label.targets()
    }

    fn as_in_files(&self, answer: &str) -> Option<&str> {
        TABLE.label.written(answer.trim())
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

    /// The name is that of the matched test set; predictions for `test_mismatched.tsv` go into `MNLI-mm.tsv`.
    fn submission(&self) -> Submission<'_> {
        Submission {
            file: "MNLI-m.tsv".into(),
            format: SubmissionFormat::Table {
                labels: TABLE.label.labels,
                otherwise: "neutral",
            },
        }
    }

    fn how_to_get(&self, data: &Path) -> Option<String> {
        let data = data.display();
        Some(format!(
            "(mkdir -p {data} && cd {data} && curl -fLO {GLUE}/data/MNLI.zip && unzip MNLI.zip 'MNLI/*.tsv' && mv MNLI mnli)"
        ))
    }

    fn paper(&self) -> Option<PaperFigures> {
        Some(PAPER)
    }
}
