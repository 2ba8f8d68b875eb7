//! XSum: summarise an article in one sentence.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::metrics::rouge::MOST_BYTES;
use crate::metrics::{self, paper, rouge};
use crate::read::{
    Id, Lines, Row, TextColumn, json_lines, read_parquet, read_quoted_rows, read_rows,
};
use crate::{
    Baseline, Example, Gold, PaperFigures, ScoreError, Scores, Sink, Split, Stacks, Task,
    TaskError, TaskName, Warning, baseline,
};

const EMPTY: &str = "empty document or summary; skipped";
const SEPARATOR: &str = "[SEP]";

/// XSum in the authors' tables of two columns, document and summary, without a header and without
/// quoting, in tables with a header that names them, quoted as programs write them, or as on the
/// Hugging Face hub: JSON lines (`.jsonl`, `.json`) or Parquet (`.parquet`, with the feature
/// `parquet`) of `document`, `summary` and `id`. The parts of a document are joined by `[SEP]` in
/// the table, by line breaks on the hub, and by a space in the source.
#[derive(Debug, Clone, Copy)]
pub struct Xsum;

const PAPER: PaperFigures = PaperFigures {
    flops_target: 512,
    t5_large: &[
        ("pt", 26.65),
        ("ld-1/4", 17.40),
        ("ld-1/2", 19.69),
        ("ld-3/4", 22.51),
        ("fr-1/4", 22.46),
        ("fr-1/2", 24.61),
        ("fr-3/4", 26.12),
        ("cr-1/4", 16.49),
        ("cr-1/2", 18.88),
        ("cr-3/4", 22.18),
        ("fpt-ld", 26.27),
        ("fpt-fr", 26.55),
        ("fpt-cr", 26.21),
    ],
};

/// What a file is, by its extension.
enum Format {
    Table,
    Lines,
    Parquet,
}

impl Task for Xsum {
    fn name(&self) -> TaskName {
        TaskName::XSUM
    }

    fn declaration(&self) -> String {
        "xsum 1".into()
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "xsum_train.tsv",
            Split::Dev => "xsum_dev.tsv",
            Split::Test => "xsum_test.tsv",
        }
    }

    fn other_files(&self, split: Split) -> Vec<&str> {
        match split {
            Split::Train => vec!["xsum_train.jsonl", "xsum_train.parquet"],
            Split::Dev => vec!["xsum_dev.jsonl", "xsum_dev.parquet"],
            Split::Test => vec!["xsum_test.jsonl", "xsum_test.parquet"],
        }
    }

    fn expected(&self, path: &Path) -> &str {
        match Format::of(path) {
            Format::Table => "rows of document, tab, summary",
            Format::Lines => "one JSON object with document, summary and id a line",
            Format::Parquet => "the columns document, summary and id",
        }
    }

    /// Rows whose document or summary is empty are skipped with a warning. In JSON lines and
    /// Parquet a summary that is missing or null is hidden.
    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        match Format::of(path) {
            Format::Table => scan_table(reader, path, sink),
            Format::Lines => scan_lines(reader, path, sink),
            Format::Parquet => scan_parquet(reader, path, sink),
        }
    }

    fn max_target_length(&self) -> usize {
        512
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Both
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
        baseline::constant_summary(self, train, eval)
    }

    fn how_to_get(&self, data: &Path) -> Option<String> {
        let data = data.display();
        Some(format!(
            "see the section on XSum in datasets/README.md; the files go to {data}/xsum"
        ))
    }

    fn paper(&self) -> Option<PaperFigures> {
        Some(PAPER)
    }
}

/// An article as the hub has it.
#[derive(Deserialize)]
struct Article {
    document: String,
    summary: Option<String>,
    id: Option<Id>,
}

impl Format {
    fn of(path: &Path) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        match &*extension.to_ascii_lowercase() {
            "jsonl" | "json" => Self::Lines,
            "parquet" => Self::Parquet,
            _ => Self::Table,
        }
    }
}

/// The authors' table has neither header nor quotes. One that a program wrote has both.
fn scan_table(reader: &mut dyn BufRead, path: &Path, sink: &mut dyn Sink) -> Result<(), TaskError> {
    let mut lines = Lines::new(reader, path);
    let Some((_, first)) = lines.peek_valid(sink)? else {
        return Ok(());
    };
    let names = first.split('\t').map(|name| name.trim().trim_matches('"'));
    let names: Vec<String> = names.map(str::to_lowercase).collect();
    let column = |wanted: &str| names.iter().position(|name| name == wanted);
    let (Some(document), Some(summary)) = (column("document"), column("summary")) else {
        return read_rows(lines, 2, sink, &mut |row, sink| {
            table_row(row, [0, 1], None, sink)
        });
    };
    let id = column("id");
    lines.skip_peeked();
    read_quoted_rows(lines, names.len(), sink, &mut |row, sink| {
        table_row(row, [document, summary], id, sink)
    })
}

/// Makes an example of a row of a table, whose columns are given.
fn table_row(
    row: &Row<'_>,
    [document, summary]: [usize; 2],
    id: Option<usize>,
    sink: &mut dyn Sink,
) -> Result<(), TaskError> {
    let (document, summary) = (row.cells[document], row.cells[summary]);
    row.field(sink, "document", document);
    row.field(sink, "summary", summary);
    if document.trim().is_empty() || summary.trim().is_empty() {
        row.skip(sink, EMPTY);
        return Ok(());
    }
    if let Some(reason) = too_long(summary) {
        return sink.fault(row.error(reason));
    }
    let parts: Vec<_> = document.split(SEPARATOR).map(one_line).collect();
    row.example(sink, id, parts.join(" "), Some(&one_line(summary)));
    Ok(())
}

fn scan_lines(reader: &mut dyn BufRead, path: &Path, sink: &mut dyn Sink) -> Result<(), TaskError> {
    let mut index = 0;
    json_lines(
        Lines::new(reader, path),
        sink,
        &mut |line, row: Article, sink| {
            let error = |reason: String| TaskError::Row {
                path: path.to_owned(),
                line,
                reason,
            };
            if let Some(reason) = row.summary.as_deref().and_then(too_long) {
                return sink.fault(error(reason));
            }
            let place = format!("{}:{line}", path.display());
            article(
                sink,
                place,
                line,
                index,
                &row.document,
                row.summary.as_deref(),
                row.id.map(|id| id.0),
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
        if let Some(reason) = cells[1].and_then(too_long) {
            return sink.fault(TaskError::Parquet {
                path: path.to_owned(),
                place: format!("row {row}"),
                reason,
            });
        }
        article(sink, place, row, row - 1, document, cells[1], id);
        Ok(())
    })
}

/// What is wrong with a summary that can't be scored.
fn too_long(summary: &str) -> Option<String> {
    let length = summary.len();
    (length > MOST_BYTES).then(|| {
        format!(
            "the summary has {length} bytes, more than the {MOST_BYTES} that ROUGE is computed of; \
             is it the document? Give one sentence, or leave the row out"
        )
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
    sink.field(line, "document", document);
    // A hidden summary is not an empty one.
    if let Some(summary) = summary {
        sink.field(line, "summary", summary);
    }
    let source = one_line(document);
    let target = summary.map(one_line);
    if source.is_empty() || target.as_deref() == Some("") {
        let reason = EMPTY.to_owned();
        sink.skip(line, Warning { place, reason });
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
