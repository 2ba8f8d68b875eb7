//! The report and how it reads.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Distribution, TextLengths};
use crate::TaskName;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing stops and nothing is lost, but it may not be meant so.
    Note,
    /// The row is skipped or read with a doubt.
    Warning,
    /// The file is refused.
    Error,
}

/// Something wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The line, or of Parquet the row, from 1; absent where it concerns the whole file.
    pub line: Option<usize>,
    /// From 1, for JSON that does not parse.
    pub column: Option<usize>,
    /// What is wrong, and what was expected or done.
    pub message: String,
}

/// Examples that repeat others. Of ReCoRD, queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// With the source of an earlier one.
    pub inputs: usize,
    /// Those of them that have another answer than the earlier one.
    pub conflicting: usize,
    /// With the id of an earlier one.
    pub ids: usize,
}

/// What a file holds and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// As what it was read.
    pub task: TaskName,
    /// The file.
    pub path: String,
    /// The examples that could be read.
    pub examples: usize,
    /// Examples of a query count once; only ReCoRD has several.
    pub queries: usize,
    /// Examples whose answer the file hides.
    pub unlabelled: usize,
    /// How often each [label](crate::Task::label) occurs: MNLI's and QQP's, of SQuAD 2.0 `answer` and
    /// `no answer`; empty for tasks without.
    pub labels: BTreeMap<String, usize>,
    /// The sources; absent without examples.
    pub source: Option<TextLengths>,
    /// The targets, in tokens with the sentinel; absent without labelled examples.
    pub target: Option<TextLengths>,
    /// Repetitions.
    pub duplicates: Duplicates,
    /// How many rows have an empty text, by the name of the field.
    pub empty_fields: BTreeMap<String, usize>,
    /// How many problems are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// How many are notes.
    pub notes: usize,
    /// The problems, in the order of their discovery; fewer than counted if
    /// [`max_problems`](super::CheckOptions::max_problems) cut them.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether the file can be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.errors == 0
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Report {
    /// Every problem as `file:line: severity: message`, then the figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            write!(f, "{}:", self.path)?;
            for number in [problem.line, problem.column].into_iter().flatten() {
                write!(f, "{number}:")?;
            }
            writeln!(f, " {}: {}", problem.severity, problem.message)?;
        }
        let all = self.errors + self.warnings + self.notes;
        if all > self.problems.len() {
            writeln!(f, "... and {} more", all - self.problems.len())?;
        }
        write!(
            f,
            "{}: {}, {} examples",
            self.path, self.task, self.examples
        )?;
        if self.queries != self.examples {
            write!(f, " of {} queries", self.queries)?;
        }
        writeln!(
            f,
            ", {} unlabelled; {} errors, {} warnings, {} notes",
            self.unlabelled, self.errors, self.warnings, self.notes
        )?;
        let labelled: usize = self.labels.values().sum();
        for (label, count) in &self.labels {
            let percent = 100.0 * *count as f64 / labelled as f64;
            writeln!(f, "label {label}: {count} ({percent:.1} %)")?;
        }
        let Duplicates {
            inputs,
            conflicting,
            ids,
        } = self.duplicates;
        writeln!(
            f,
            "duplicates: {inputs} inputs ({conflicting} with another answer), {ids} ids"
        )?;
        for (field, count) in &self.empty_fields {
            writeln!(f, "empty {field}: {count}")?;
        }
        for (name, lengths) in [("source", &self.source), ("target", &self.target)] {
            let Some(lengths) = lengths else { continue };
            line(f, name, "characters", &lengths.characters)?;
            line(f, name, "words", &lengths.words)?;
            if let (Some(tokens), Some(over)) = (&lengths.tokens, lengths.over_limit) {
                line(f, name, "tokens", tokens)?;
                writeln!(f, "{name}: {over} longer than {} tokens", lengths.limit)?;
            }
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, unit: &str, lengths: &Distribution) -> fmt::Result {
    let Distribution {
        min,
        mean,
        p50,
        p90,
        p95,
        p99,
        max,
    } = lengths;
    writeln!(
        f,
        "{name} {unit}: min {min}, mean {mean:.1}, p50 {p50}, p90 {p90}, p95 {p95}, p99 {p99}, max {max}"
    )
}
