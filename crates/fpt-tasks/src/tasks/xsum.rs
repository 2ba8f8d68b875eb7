//! XSum: summarise an article in one sentence.

use std::{io::BufRead, path::Path, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use super::{Baseline, Task, baseline};
use crate::{
    Dataset, Example, Gold, ScoreError, Scores, Split, TaskError, TaskKind, Warning,
    metrics::{self, paper, rouge},
    read::{Lines, Sink, TextColumn, json_lines, read_parquet, read_rows},
};

const EXPECTED_TABLE: &str = "rows of document, tab, summary";
const EXPECTED_LINES: &str = "one JSON object with document, summary and id a line";
const EXPECTED_PARQUET: &str = "the columns document, summary and id";
const EMPTY: &str = "empty document or summary; skipped";
const SEPARATOR: &str = "[SEP]";

/// XSum in the authors' tables of two columns, document and summary, without a header, or as on the
/// Hugging Face hub: JSON lines (`.jsonl`, `.json`) or Parquet (`.parquet`, with the feature
/// `parquet`) of `document`, `summary` and `id`. The parts of a document are joined by `[SEP]` in
/// the table, by line breaks on the hub, and by a space in the source.
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

    fn other_files(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Train => &["xsum_train.jsonl", "xsum_train.parquet"],
            Split::Dev => &["xsum_dev.jsonl", "xsum_dev.parquet"],
            Split::Test => &["xsum_test.jsonl", "xsum_test.parquet"],
        }
    }

    /// Rows whose document or summary is empty are skipped with a warning. In JSON lines and
    /// Parquet a summary that is missing or null is hidden.
    fn read_from(&self, reader: &mut dyn BufRead, path: &Path) -> Result<Dataset, TaskError> {
        super::collect(self.kind(), reader, path)
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

/// An article as the hub has it.
#[derive(Deserialize)]
struct Article {
    document: String,
    summary: Option<String>,
    id: Option<Value>,
}

/// See [`Xsum::read_from`]; also says what was expected.
pub(super) fn scan(
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<&'static str, TaskError> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    match &*extension.to_ascii_lowercase() {
        "jsonl" | "json" => scan_lines(reader, path, sink).map(|()| EXPECTED_LINES),
        "parquet" => scan_parquet(reader, path, sink).map(|()| EXPECTED_PARQUET),
        _ => scan_table(reader, path, sink).map(|()| EXPECTED_TABLE),
    }
}

fn scan_table(reader: &mut dyn BufRead, path: &Path, sink: &mut dyn Sink) -> Result<(), TaskError> {
    read_rows(Lines::new(reader, path), 2, sink, &mut |row, sink| {
        let (document, summary) = (row.cells[0], row.cells[1]);
        row.fields(sink, &[("document", document), ("summary", summary)]);
        if document.trim().is_empty() || summary.trim().is_empty() {
            row.warn(sink, EMPTY);
            return Ok(());
        }
        let parts: Vec<_> = document.split(SEPARATOR).map(str::trim).collect();
        row.example(sink, None, parts.join(" "), Some(summary));
        Ok(())
    })
}

fn scan_lines(reader: &mut dyn BufRead, path: &Path, sink: &mut dyn Sink) -> Result<(), TaskError> {
    let mut index = 0;
    json_lines(
        Lines::new(reader, path),
        sink,
        &mut |line, row: Article, sink| {
            let id = match row.id {
                None => None,
                Some(Value::String(id)) => Some(id),
                Some(Value::Number(id)) => Some(id.to_string()),
                Some(other) => {
                    return sink.fault(TaskError::Row {
                        path: path.to_owned(),
                        line,
                        reason: format!("id is `{other}`; expected a string or a number"),
                    });
                }
            };
            let place = format!("{}:{line}", path.display());
            article(
                sink,
                place,
                line,
                index,
                &row.document,
                row.summary.as_deref(),
                id,
            );
            index += 1;
            Ok(())
        },
    )
}

fn scan_parquet(
    reader: &mut dyn BufRead,
    path: &Path,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let columns = [
        TextColumn::required("document"),
        TextColumn::optional("summary"),
        TextColumn::optional("id"),
    ];
    read_parquet(reader, path, &columns, sink, &mut |row, cells, sink| {
        let place = format!("{}: row {row}", path.display());
        let document = cells[0].unwrap_or("");
        let id = cells[2].map(str::to_owned);
        article(sink, place, row, row - 1, document, cells[1], id);
        Ok(())
    })
}

/// Makes an example of an article of the hub, whose paragraphs are lines.
fn article(
    sink: &mut dyn Sink,
    place: String,
    line: usize,
    index: usize,
    document: &str,
    summary: Option<&str>,
    id: Option<String>,
) {
    let fields = [("document", document), ("summary", summary.unwrap_or(""))];
    // A hidden summary is not an empty one.
    sink.fields(line, &fields[..1 + usize::from(summary.is_some())]);
    let source = one_line(document);
    let target = summary.map(one_line);
    if source.is_empty() || target.as_deref() == Some("") {
        let reason = EMPTY.to_owned();
        sink.warn(line, Warning { place, reason });
        return;
    }
    let example = Example {
        id: id.unwrap_or_else(|| index.to_string()),
        source,
        gold: target
            .clone()
            .map_or(Gold::Hidden, |target| Gold::Answers(vec![target])),
        target,
        group: index,
        candidates: Arc::default(),
    };
    sink.example(line, example);
}

/// The lines of a text, joined by spaces.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}
