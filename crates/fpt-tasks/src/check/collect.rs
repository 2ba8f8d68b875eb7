//! Examples and problems to a report. Examples are not kept: a report on a large file is small.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use super::{
    CheckOptions, CountTokens, Distribution, Duplicates, Problem, Report, Severity, TextLengths,
};
use crate::text::split_whitespace;
use crate::{Example, Gold, SENTINEL, Sink, Task, TaskError, Warning};

/// The lengths of one side so far.
#[derive(Default)]
struct Side {
    characters: Vec<u32>,
    words: Vec<u32>,
    tokens: Vec<u32>,
}

/// What was seen before under a hash of 64 bits: enough to tell millions of texts apart.
#[derive(Clone, Copy)]
struct Seen {
    line: usize,
    answer: u64,
}

/// Collects a [`Report`].
pub(super) struct ReportSink<'a> {
    task: &'a dyn Task,
    path: &'a Path,
    /// What places are counted in.
    unit: &'static str,
    options: &'a CheckOptions<'a>,
    examples: usize,
    queries: usize,
    unlabelled: usize,
    labels: BTreeMap<String, usize>,
    source: Side,
    target: Side,
    inputs: HashMap<u64, Seen>,
    ids: HashMap<u64, usize>,
    last_group: Option<usize>,
    duplicates: Duplicates,
    empty_fields: BTreeMap<String, usize>,
    errors: usize,
    warnings: usize,
    notes: usize,
    problems: Vec<Problem>,
}

impl<'a> ReportSink<'a> {
    pub(super) fn new(task: &'a dyn Task, path: &'a Path, options: &'a CheckOptions<'a>) -> Self {
        Self {
            task,
            path,
            unit: match path.extension() {
                Some(extension) if extension.eq_ignore_ascii_case("parquet") => "row",
                _ => "line",
            },
            options,
            examples: 0,
            queries: 0,
            unlabelled: 0,
            labels: BTreeMap::new(),
            source: Side::default(),
            target: Side::default(),
            inputs: HashMap::new(),
            ids: HashMap::new(),
            last_group: None,
            duplicates: Duplicates::default(),
            empty_fields: BTreeMap::new(),
            errors: 0,
            warnings: 0,
            notes: 0,
            problems: Vec::new(),
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        line: Option<usize>,
        column: Option<usize>,
        message: String,
    ) {
        *match severity {
            Severity::Note => &mut self.notes,
            Severity::Warning => &mut self.warnings,
            Severity::Error => &mut self.errors,
        } += 1;
        if self.problems.len() < self.options.max_problems {
            self.problems.push(Problem {
                severity,
                line,
                column,
                message,
            });
        }
    }

    /// An error that reading would stop at.
    pub(super) fn error(&mut self, error: TaskError) {
        let (line, column) = match &error {
            // Said already, by what kept the examples away.
            TaskError::Empty { .. } if self.errors > 0 => return,
            TaskError::Utf8 { line, .. } | TaskError::Row { line, .. } => (Some(*line), None),
            TaskError::Column { .. } => (Some(1), None),
            TaskError::Json { line, column, .. } => (Some(*line), Some(*column)),
            _ => (None, None),
        };
        // The report names the place itself.
        let mut place = format!("{}:", self.path.display());
        for number in [line, column].into_iter().flatten() {
            place.push_str(&format!("{number}:"));
        }
        let message = error.to_string();
        let message = message.strip_prefix(&place).unwrap_or(&message);
        self.push(
            Severity::Error,
            line,
            column,
            message.trim_start().to_owned(),
        );
    }

    fn duplicates(&mut self, line: usize, example: &Example) {
        let answer = hash(match &example.gold {
            Gold::Hidden => None,
            Gold::Answers(answers) => Some(answers),
        });
        let seen = Seen { line, answer };
        match self.inputs.entry(hash(&example.source)) {
            Entry::Vacant(entry) => {
                entry.insert(seen);
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                self.duplicates.inputs += 1;
                let (severity, other) = if first.answer == answer {
                    (Severity::Note, "")
                } else {
                    self.duplicates.conflicting += 1;
                    (Severity::Warning, ", but another answer")
                };
                let message = format!("same input as {} {}{other}", self.unit, first.line);
                self.push(severity, Some(line), None, message);
            }
        }
        match self.ids.entry(hash(&example.id)) {
            Entry::Vacant(entry) => {
                entry.insert(line);
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                self.duplicates.ids += 1;
                let message = format!("same id `{}` as {} {first}", example.id, self.unit);
                self.push(Severity::Warning, Some(line), None, message);
            }
        }
    }

    fn count(&mut self, line: usize, example: &Example) {
        let tokens = self.options.tokens;
        let mut failures = Vec::new();
        failures.extend(self.source.push(&example.source, "", tokens));
        if let Some(target) = &example.target {
            failures.extend(self.target.push(target, SENTINEL, tokens));
        }
        for reason in failures {
            let message = format!("cannot tokenize example `{}`: {reason}", example.id);
            self.push(Severity::Error, Some(line), None, message);
        }
        if example.target.is_none() {
            self.unlabelled += 1;
            return;
        }
        let Some(label) = self.task.label(example) else {
            return;
        };
        match self.labels.get_mut(label) {
            Some(count) => *count += 1,
            None => {
                self.labels.insert(label.to_owned(), 1);
            }
        }
    }

    pub(super) fn finish(mut self) -> Report {
        if self.unlabelled > 0 && self.unlabelled < self.examples {
            let message = format!(
                "{} of {} examples have no label or answer",
                self.unlabelled, self.examples
            );
            self.push(Severity::Warning, None, None, message);
        }
        let counted = self.options.tokens.is_some();
        Report {
            task: self.task.name(),
            path: self.path.display().to_string(),
            examples: self.examples,
            queries: self.queries,
            unlabelled: self.unlabelled,
            labels: self.labels,
            source: self.source.lengths(self.options.max_source, counted),
            target: self.target.lengths(self.task.max_target_length(), counted),
            duplicates: self.duplicates,
            empty_fields: self.empty_fields,
            errors: self.errors,
            warnings: self.warnings,
            notes: self.notes,
            problems: self.problems,
        }
    }
}

impl Sink for ReportSink<'_> {
    fn field(&mut self, line: usize, name: &str, text: &str) {
        if text.trim().is_empty() {
            *self.empty_fields.entry(name.to_owned()).or_default() += 1;
            self.push(Severity::Note, Some(line), None, format!("empty {name}"));
        }
    }

    fn example(&mut self, line: usize, example: Example) {
        self.examples += 1;
        // Examples of a group follow each other.
        if self.last_group != Some(example.group) {
            self.last_group = Some(example.group);
            self.queries += 1;
            self.duplicates(line, &example);
        }
        self.count(line, &example);
    }

    fn warn(&mut self, line: usize, warning: Warning) {
        // SQuAD's warnings name the question, which may be one of many in a line.
        let file = format!("{}: ", self.path.display());
        let message = match warning.place.strip_prefix(&file) {
            Some(place) if !place.starts_with("row ") => format!("{place}: {}", warning.reason),
            _ => warning.reason,
        };
        self.push(Severity::Warning, Some(line), None, message);
    }

    fn note(&mut self, line: usize, note: Warning) {
        self.push(Severity::Note, Some(line), None, note.reason);
    }

    fn fault(&mut self, error: TaskError) -> Result<(), TaskError> {
        self.error(error);
        Ok(())
    }

    fn found(&self) -> usize {
        self.examples
    }
}

impl Side {
    /// Why the tokens could not be counted, if so.
    fn push(
        &mut self,
        text: &str,
        prefix: &str,
        tokens: Option<CountTokens<'_>>,
    ) -> Option<String> {
        let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.characters.push(short(text.chars().count()));
        self.words.push(short(split_whitespace(text).count()));
        let counted = tokens?(&format!("{prefix}{text}"));
        match counted {
            Ok(count) => {
                self.tokens.push(short(count));
                None
            }
            Err(reason) => Some(reason),
        }
    }

    fn lengths(mut self, limit: usize, counted: bool) -> Option<TextLengths> {
        let over = self.tokens.iter().filter(|&&n| n as usize > limit).count();
        Some(TextLengths {
            characters: Distribution::of(&mut self.characters)?,
            words: Distribution::of(&mut self.words)?,
            tokens: Distribution::of(&mut self.tokens),
            limit,
            over_limit: counted.then_some(over),
        })
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
