//! QQP: do two questions ask the same?

use std::io::BufRead;
use std::path::Path;

use super::GLUE;
use crate::metrics;
use crate::metrics::classification::{accuracy, binary_f1};
use crate::{
    Example, LabelColumn, PaperFigures, ScoreError, Scores, Sink, Split, Stacks, Submission,
    SubmissionFormat, TableFormat, Task, TaskError, TaskName,
};

const NEGATIVE: &str = "not_duplicate";
const POSITIVE: &str = "is_duplicate";

/// QQP in GLUE's files. Source `question1: {question1} question2: {question2}`, target
/// `not_duplicate` or `is_duplicate`. The published files have a few rows of the wrong width; they are skipped with
/// a warning.
#[derive(Debug, Clone, Copy)]
pub struct Qqp;

const TABLE: TableFormat<'_> = TableFormat {
    expected: "a GLUE table with the columns question1, question2 and is_duplicate",
    id: "id",
    texts: &["question1", "question2"],
    source: "question1: {question1} question2: {question2}",
    label: LabelColumn {
        column: "is_duplicate",
        labels: &[("0", NEGATIVE), ("1", POSITIVE)],
        unlabelled: None,
    },
};

const PAPER: PaperFigures = PaperFigures {
    flops_target: 5,
    t5_large: &[
        ("pt", 87.26),
        ("ld-1/4", 78.29),
        ("ld-1/2", 80.64),
        ("ld-3/4", 86.05),
        ("fr-1/4", 85.19),
        ("fr-1/2", 86.45),
        ("fr-3/4", 86.77),
        ("cr-1/4", 78.38),
        ("cr-1/2", 78.91),
        ("cr-3/4", 86.32),
        ("fpt-ld", 86.51),
        ("fpt-fr", 87.11),
        ("fpt-cr", 86.40),
    ],
};

impl Task for Qqp {
    fn name(&self) -> TaskName {
        TaskName::QQP
    }

    fn declaration(&self) -> String {
        "qqp 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "train.tsv",
            Split::Dev => "dev.tsv",
            Split::Test => "test.tsv",
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

    /// What is no label goes out as `is_duplicate`, for which the paper's authors take it too.
    fn submission(&self) -> Submission<'_> {
        Submission {
            file: "QQP.tsv".into(),
            format: SubmissionFormat::Table {
                labels: TABLE.label.labels,
                otherwise: "1",
            },
        }
    }

    fn how_to_get(&self, data: &Path) -> Option<String> {
        let data = data.display();
        Some(format!(
            "(mkdir -p {data} && cd {data} && curl -fLO {GLUE}/data/QQP-clean.zip && unzip QQP-clean.zip 'QQP/*.tsv' && mv QQP qqp)"
        ))
    }

    fn paper(&self) -> Option<PaperFigures> {
        Some(PAPER)
    }
}
