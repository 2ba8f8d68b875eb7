//! XSum: summarise an article in one sentence.

use std::{io::BufRead, path::Path};

use super::{Baseline, Task, baseline};
use crate::{
    Dataset, Example, ScoreError, Scores, Split, TaskError, TaskKind,
    metrics::{self, paper, rouge},
    read::{Lines, read_rows},
};

const EXPECTED: &str = "rows of document, tab, summary";
const SEPARATOR: &str = "[SEP]";

/// XSum in the authors' tables of two columns, document and summary, without a header. The parts
/// of a document are joined by `[SEP]` in the file and by a space in the source.
#[derive(Debug, Clone, Copy)]
pub struct Xsum;

impl Task for Xsum {
    fn kind(&self) -> TaskKind {
        TaskKind::Xsum
    }

    fn file(&self, split: Split) -> &'static str {
        match split {
            Split::Train => "xsum_train.tsv",
            Split::Dev => "xsum_dev.tsv",
            Split::Test => "xsum_test.tsv",
        }
    }

    /// Rows without a document or a summary are skipped with a warning.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        let lines = Lines::new(reader, path);
        read_rows(lines, 2, EXPECTED, &mut |row, warnings| {
            let (document, summary) = (row.cells[0], row.cells[1]);
            if document.trim().is_empty() || summary.trim().is_empty() {
                warnings.push(row.warning("empty document or summary; skipped"));
                return Ok(None);
            }
            let parts: Vec<_> = document.split(SEPARATOR).map(str::trim).collect();
            Ok(Some(row.example(None, parts.join(" "), Some(summary))))
        })
    }

    fn max_target_length(&self) -> usize {
        512
    }

    /// As the authors (the package `rouge`): `paper_rouge_1`, `paper_rouge_2` and the
    /// summary-level `paper_rouge_l`, whose mean is the mean. As the package `rouge-score`:
    /// `rouge_1`, `rouge_2`, `rouge_l` and `rouge_lsum`. All are F1, averaged over examples.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::single_answers(examples, predictions)?;
        let ours: Vec<_> = pairs
            .iter()
            .map(|(p, gold)| rouge::rouge(p, gold))
            .collect();
        let papers: Vec<_> = pairs
            .iter()
            .map(|(p, gold)| paper::rouge(p, gold))
            .collect();
        let standard =
            |value: fn(&rouge::Rouge) -> f64| metrics::mean_percent(ours.iter().map(value));
        let paper =
            |value: fn(&paper::Rouge) -> f64| metrics::mean_percent(papers.iter().map(value));
        let values = [
            ("rouge_1", standard(|r| r.rouge_1)),
            ("rouge_2", standard(|r| r.rouge_2)),
            ("rouge_l", standard(|r| r.rouge_l)),
            ("rouge_lsum", standard(|r| r.rouge_lsum)),
            ("paper_rouge_1", paper(|r| r.rouge_1)),
            ("paper_rouge_2", paper(|r| r.rouge_2)),
            ("paper_rouge_l", paper(|r| r.rouge_l)),
        ];
        let mean = ["paper_rouge_1", "paper_rouge_2", "paper_rouge_l"];
        Ok(Scores::new("paper_rouge_l", &mean, values))
    }

    fn baseline(&self, train: &[Example], eval: &[Example]) -> Result<Baseline, ScoreError> {
        baseline::constant_summary(self.kind(), train, eval)
    }
}
