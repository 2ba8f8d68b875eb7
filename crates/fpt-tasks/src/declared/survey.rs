//! A look at a file of rows, and the declaration that it suggests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minijinja::Value;

use super::template::is_blank;
use super::{Declaration, Files, Holdout, Labels, Metric, Part};
use crate::files::open;
use crate::read::{Wanted, read_records};
use crate::{Example, Sink, TaskError, Warning};

/// Names of columns that are answers, the likeliest first.
const TARGETS: [&str; 20] = [
    "target",
    "label",
    "labels",
    "class",
    "category",
    "gold_label",
    "sentiment",
    "stars",
    "rating",
    "score",
    "answer",
    "answers",
    "summary",
    "output",
    "completion",
    "response",
    "translation",
    "highlights",
    "intent",
    "y",
];
/// Names of columns that number the rows.
const NUMBERS: [&str; 6] = ["id", "idx", "index", "uid", "guid", ""];
/// So many different values are labels, if each of them comes often enough.
const MOST_LABELS: usize = 20;
/// How often, on average.
const LEAST_REPETITION: usize = 5;
/// Different values that are counted.
const COUNTED: usize = 1000;

/// What a file of rows has.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Survey {
    /// How many rows.
    pub rows: usize,
    /// The columns, in the order of their names.
    pub columns: BTreeMap<String, Column>,
}

/// What a column has.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Column {
    /// Rows that have nothing there.
    pub blank: usize,
    /// Its values and how often they come; the first thousand.
    pub values: BTreeMap<String, usize>,
    /// Whether there are more of them.
    pub more: bool,
    /// Words of all rows.
    pub words: usize,
    /// Bytes of the longest value.
    pub longest: usize,
}

impl Survey {
    /// Reads a file: `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`.
    ///
    /// # Errors
    /// When it can't be read, or has no rows.
    pub fn of(path: &Path) -> Result<Self, TaskError> {
        let wanted = Wanted {
            required: BTreeSet::new(),
            optional: BTreeSet::new(),
            all: true,
        };
        let mut survey = Self {
            rows: 0,
            columns: BTreeMap::new(),
        };
        let mut reader = open(path)?;
        read_records(&mut reader, path, &wanted, &mut Strict, &mut |record, _| {
            survey.rows += 1;
            for (name, cell) in record.cells {
                survey.columns.entry(name).or_default().see(&cell);
            }
            Ok(())
        })?;
        if survey.rows == 0 {
            return Err(TaskError::Empty {
                path: path.to_owned(),
                expected: "rows with named columns".into(),
            });
        }
        Ok(survey)
    }

    /// The declaration that it suggests for the task of `path`, to be read through by who knows the data.
    ///
    /// # Errors
    /// What there is too little of, where there is no column for the source or none for the target.
    pub fn suggest(&self, path: &Path) -> Result<Declaration, String> {
        let usable = || {
            let columns = self.columns.iter();
            columns.filter(|(name, column)| column.blank < self.rows && !self.numbers(name, column))
        };
        let named = |wanted: &&str| {
            usable()
                .find_map(|(name, _)| name.eq_ignore_ascii_case(wanted).then_some(name.as_str()))
        };
        let fewest = || {
            let labels = usable().filter(|(_, column)| self.are_labels(column));
            let fewest = labels.min_by_key(|(_, column)| column.values.len());
            fewest.map(|(name, _)| name.as_str())
        };
        let names = || {
            let names: Vec<_> = self.columns.keys().map(String::as_str).collect();
            names.join(", ")
        };
        let target = TARGETS.iter().find_map(named).or_else(fewest);
        let target = target.ok_or_else(|| {
            format!(
                "no column looks like an answer (target, label, answer, summary, …, or few values that come often): {}",
                names()
            )
        })?;
        let others = || usable().filter(|(name, _)| *name != target);
        let texts: Vec<&str> = others()
            .filter(|(_, column)| column.words >= 2 * self.rows)
            .map(|(name, _)| name.as_str())
            .collect();
        let sources = if texts.is_empty() {
            others().map(|(name, _)| name.as_str()).collect()
        } else {
            texts
        };
        if sources.is_empty() {
            return Err(format!("there is no column beside the answer: {}", names()));
        }
        let parts = sources.iter().map(|name| format!("{name}: {}", hole(name)));
        let source = parts.collect::<Vec<_>>().join(" ");
        let files = Files {
            train: path.to_owned(),
            dev: None,
            test: None,
        };
        let mut declaration = Declaration::new(source, hole(target), files);
        declaration.holdout = Some(Holdout {
            dev: Some(Part::Share(0.1)),
            test: Some(Part::Share(0.1)),
            seed: 0,
        });
        let column = &self.columns[target];
        if self.are_labels(column) {
            let words = column
                .values
                .keys()
                .map(|value| (value.clone(), word(value)));
            declaration.labels = Some(Labels(words.collect()));
            declaration.metrics = vec![Metric::Accuracy, Metric::MacroF1];
        } else {
            declaration.metrics = vec![Metric::RougeL, Metric::ExactMatch];
        }
        Ok(declaration)
    }

    /// Whether a column numbers the rows, or names each of them.
    fn numbers(&self, name: &str, column: &Column) -> bool {
        let all_differ = column.more || column.values.len() == self.rows;
        NUMBERS.contains(&&*name.to_ascii_lowercase())
            || (all_differ && column.words == self.rows && self.rows > 1)
    }

    fn are_labels(&self, column: &Column) -> bool {
        let count = column.values.len();
        !column.more
            && (2..=MOST_LABELS).contains(&count)
            && (self.rows - column.blank) >= count * LEAST_REPETITION
    }
}

impl Column {
    fn see(&mut self, cell: &Value) {
        if is_blank(cell) {
            self.blank += 1;
            return;
        }
        let text = cell.to_string();
        let text = text.trim();
        self.words += text.split_whitespace().count();
        self.longest = self.longest.max(text.len());
        if let Some(count) = self.values.get_mut(text) {
            *count += 1;
        } else if self.values.len() < COUNTED {
            self.values.insert(text.to_owned(), 1);
        } else {
            self.more = true;
        }
    }
}

/// A column in a template.
fn hole(name: &str) -> String {
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if starts && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        format!("{{{{ {name} }}}}")
    } else {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{{{{ row[\"{quoted}\"] }}}}")
    }
}

/// The word for a label: its name as words.
fn word(value: &str) -> String {
    value.replace(['_', '-'], " ")
}

/// Stops at the first thing that is wrong, and keeps nothing.
struct Strict;

impl Sink for Strict {
    fn example(&mut self, _line: usize, _example: Example) {}

    fn warn(&mut self, _line: usize, _warning: Warning) {}

    fn fault(&mut self, error: TaskError) -> Result<(), TaskError> {
        Err(error)
    }

    fn found(&self) -> usize {
        0
    }
}
