//! The task that a declaration makes.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::metric::Answered;
use super::template::{ID, Templates, is_blank};
use super::{AnswerBy, Declaration, DeclarationError, Labels, Metric, holdout, metric};
use crate::metrics::{self, rouge};
use crate::read::{Record, read_records};
use crate::{
    Answers, Dataset, Example, Gold, ScoreError, Scores, Sink, Split, Stacks, Task, TaskError,
    TaskName, Warning,
};

/// The limit on targets of labels, in tokens; of the paper's tasks it is the same.
const MAX_LABEL: usize = 10;
/// The limit on other targets.
const MAX_TEXT: usize = 64;

/// A task that is declared in a configuration.
#[derive(Debug)]
pub struct DeclaredTask {
    name: TaskName,
    declaration: Declaration,
    templates: Templates,
    metrics: Vec<Metric>,
    /// The word of the label that F1 is of.
    positive: String,
}

impl DeclaredTask {
    /// The task of a declaration.
    ///
    /// # Errors
    /// When a template, the labels, the metrics or the splits make no sense; the message names the key.
    pub fn new(name: TaskName, declaration: Declaration) -> Result<Self, DeclarationError> {
        let wrong = |key, reason: String| DeclarationError {
            task: name.clone(),
            key,
            reason,
        };
        let templates = Templates::new(&declaration.source, &declaration.target)
            .map_err(|(key, reason)| wrong(key, reason))?;
        check_labels(&declaration).map_err(|(key, reason)| wrong(key, reason))?;
        check_splits(&declaration).map_err(|(key, reason)| wrong(key, reason))?;
        if declaration.max_target == Some(0) {
            return Err(wrong("max_target", "must be at least 1".into()));
        }
        let metrics = match (&*declaration.metrics, &declaration.labels) {
            ([], Some(_)) => vec![Metric::Accuracy],
            ([], None) => vec![Metric::ExactMatch, Metric::RougeL],
            (metrics, _) => metrics.to_vec(),
        };
        let positive =
            positive(&declaration, &metrics).map_err(|(key, reason)| wrong(key, reason))?;
        Ok(Self {
            name,
            declaration,
            templates,
            metrics,
            positive,
        })
    }

    fn words(&self) -> Vec<&str> {
        let labels = self.declaration.labels.as_ref();
        labels.map_or_else(Vec::new, |Labels(labels)| {
            labels.values().map(String::as_str).collect()
        })
    }

    /// The target as the model is to say it, or why it can't be one.
    fn meant(&self, target: String) -> Result<String, String> {
        if let Some(Labels(labels)) = &self.declaration.labels {
            return labels.get(&target).cloned().ok_or_else(|| {
                let known: Vec<_> = labels.keys().map(String::as_str).collect();
                format!(
                    "the target is `{target}`, which is no label; `labels` has {}",
                    known.join(", ")
                )
            });
        }
        let needs = |of: fn(Metric) -> bool| self.metrics.iter().find(|metric| of(**metric));
        if let Some(metric) = needs(Metric::is_of_numbers)
            && metric::number(&target).is_none()
        {
            return Err(format!(
                "the target is `{target}`, which is no number, but {metric} is of numbers"
            ));
        }
        if let Some(metric) = needs(Metric::is_rouge)
            && target.len() > rouge::MOST_BYTES
        {
            return Err(format!(
                "the target has {} bytes, more than the {} that {metric} is computed of; is it the source?",
                target.len(),
                rouge::MOST_BYTES
            ));
        }
        Ok(target)
    }

    fn example(&self, record: &Record, path: &Path, sink: &mut dyn Sink) -> Result<(), TaskError> {
        let wrong = |reason| TaskError::Row {
            path: path.to_owned(),
            line: record.line,
            reason,
        };
        for column in self.templates.source_columns() {
            if record.cells.get(column).is_some_and(is_blank) {
                sink.field(record.line, column, "");
            }
        }
        let texts = self.templates.texts(record).and_then(|(source, target)| {
            let target = target.map(|target| self.meant(target)).transpose()?;
            Ok((source, target))
        });
        let (source, target) = match texts {
            Ok(texts) => texts,
            Err(reason) => return sink.fault(wrong(reason)),
        };
        let id = record.cells.get(ID).filter(|id| !is_blank(id));
        sink.example(
            record.line,
            Example {
                id: id.map_or_else(|| record.index.to_string(), ToString::to_string),
                source,
                gold: target
                    .clone()
                    .map_or(Gold::Hidden, |target| Gold::Answers(vec![target])),
                target,
                group: record.index,
                candidates: Arc::default(),
            },
        );
        Ok(())
    }

    /// Leave out the rows that no prompt can be trained or chosen on.
    fn labelled(&self, dataset: Dataset, path: &Path) -> Result<Dataset, TaskError> {
        let Dataset {
            examples,
            mut warnings,
        } = dataset;
        let (labelled, hidden): (Vec<_>, Vec<_>) =
            examples.into_iter().partition(|e| e.target.is_some());
        if labelled.is_empty() {
            let columns: Vec<_> = self.templates.target_columns().collect();
            return Err(TaskError::NoTarget {
                path: path.to_owned(),
                columns: columns.join(", "),
            });
        }
        for example in hidden {
            warnings.skip(Warning {
                place: format!("{}: row `{}`", path.display(), example.id),
                reason: "has no target; left out".into(),
            });
        }
        Ok(Dataset {
            examples: labelled,
            warnings,
        })
    }
}

impl Task for DeclaredTask {
    fn name(&self) -> TaskName {
        self.name.clone()
    }

    /// All of the declaration but its files, which are known by their content.
    fn declaration(&self) -> String {
        let facts = Declaration {
            files: super::Files {
                train: PathBuf::new(),
                dev: None,
                test: None,
            },
            ..self.declaration.clone()
        };
        format!("declared 1 {facts:?}")
    }

    fn file(&self, split: Split) -> &str {
        self.declaration
            .files
            .of(split)
            .and_then(|path| path.to_str())
            .unwrap_or_default()
    }

    fn path(&self, _data: &Path, split: Split) -> Option<PathBuf> {
        let files = &self.declaration.files;
        let held_out = self.declaration.holdout.and_then(|h| h.of(split));
        let shared = held_out.map(|_| &files.train);
        files.of(split).or(shared).cloned()
    }

    fn expected(&self, _path: &Path) -> &str {
        "rows with the columns that `source` and `target` name"
    }

    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let wanted = self.templates.wanted();
        read_records(reader, path, &wanted, sink, &mut |record, sink| {
            self.example(&record, path, sink)
        })
    }

    fn of_split(&self, dataset: Dataset, path: &Path, split: Split) -> Result<Dataset, TaskError> {
        let mut dataset = dataset;
        if let Some(holdout) = &self.declaration.holdout
            && self
                .declaration
                .files
                .of(split)
                .is_none_or(|_| split == Split::Train)
        {
            let mut splits = holdout::splits(holdout, &dataset.examples).into_iter();
            dataset.examples.retain(|_| splits.next() == Some(split));
            if dataset.examples.is_empty() {
                return Err(TaskError::Empty {
                    path: path.to_owned(),
                    expected: format!("some for {split}, but all rows are held out for others"),
                });
            }
        }
        match split {
            Split::Test => Ok(dataset),
            Split::Train | Split::Dev => self.labelled(dataset, path),
        }
    }

    fn max_target_length(&self) -> usize {
        let labels = self.declaration.labels.is_some();
        let usual = if labels { MAX_LABEL } else { MAX_TEXT };
        self.declaration.max_target.unwrap_or(usual)
    }

    fn reduced_stacks(&self) -> Stacks {
        let labels = self.declaration.labels.is_some();
        let usual = if labels {
            Stacks::Encoder
        } else {
            Stacks::Both
        };
        self.declaration.reduce.unwrap_or(usual)
    }

    fn label<'a>(&self, example: &'a Example) -> Option<&'a str> {
        self.declaration.labels.as_ref()?;
        example.target.as_deref()
    }

    fn labels(&self) -> Vec<&str> {
        self.words()
    }

    fn as_in_files(&self, answer: &str) -> Option<&str> {
        let Labels(labels) = self.declaration.labels.as_ref()?;
        let found = labels.iter().find(|(_, word)| *word == answer.trim());
        found.map(|(label, _)| label.as_str())
    }

    fn answers(&self) -> Answers {
        let labels = self.declaration.labels.is_some();
        match self.declaration.answer {
            Some(AnswerBy::Generate) => Answers::Generated,
            None if !labels => Answers::Generated,
            Some(AnswerBy::Labels) | None => Answers::Ranked,
        }
    }

    /// The metrics that are declared; the first is the mean.
    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let pairs = metrics::single_answers(examples, predictions)?;
        let answered = Answered::new(pairs, self.words(), &self.positive);
        let metrics = self.metrics.iter();
        let values = metrics.map(|metric| (metric.name(), answered.score(*metric)));
        let first = self.metrics[0].name();
        Ok(Scores::new(first, &[first], values))
    }
}

/// A key of the declaration, and what is wrong with it.
type Wrong = (&'static str, String);

fn check_labels(declaration: &Declaration) -> Result<(), Wrong> {
    let Some(Labels(labels)) = &declaration.labels else {
        if declaration.answer == Some(AnswerBy::Labels) {
            let reason = "is \"labels\", but there are no `labels` to score".into();
            return Err(("answer", reason));
        }
        let of_labels = declaration.metrics.iter().find(|m| m.is_of_labels());
        return match of_labels {
            Some(metric) => Err(("metrics", format!("has {metric}, which needs `labels`"))),
            None => Ok(()),
        };
    };
    if labels.len() < 2 {
        return Err(("labels", "needs at least two labels".into()));
    }
    let mut words: Vec<&str> = labels.values().map(String::as_str).collect();
    words.sort_unstable();
    if let Some(word) = words
        .iter()
        .find(|word| word.trim() != **word || word.is_empty())
    {
        let reason = format!("has the word `{word}`, which is blank or has blanks around it");
        return Err(("labels", reason));
    }
    if let Some(pair) = words.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("has the word `{}` twice; each label needs its own", pair[0]);
        return Err(("labels", reason));
    }
    match declaration.metrics.iter().find(|m| m.is_of_numbers()) {
        Some(metric) if words.iter().any(|word| metric::number(word).is_none()) => Err((
            "metrics",
            format!("has {metric}, which is of numbers, but the labels are words"),
        )),
        _ => Ok(()),
    }
}

fn check_splits(declaration: &Declaration) -> Result<(), Wrong> {
    let (files, holdout) = (&declaration.files, &declaration.holdout);
    for split in [Split::Dev, Split::Test] {
        let held_out = holdout.and_then(|holdout| holdout.of(split));
        if files.of(split).is_some() && held_out.is_some() {
            return Err((
                "holdout",
                format!("sets {split} aside, which has a file of its own; leave one of them out"),
            ));
        }
    }
    if files.dev.is_none() && holdout.is_none_or(|holdout| holdout.dev.is_none()) {
        return Err((
            "files",
            "has no dev examples, on which the best prompt is chosen; name a file, `dev = \"…\"`, or set a part of the \
             training file aside, `holdout = { dev = 0.1, test = 0.1 }`"
                .into(),
        ));
    }
    Ok(())
}

/// The word of the label that F1 is of.
fn positive(declaration: &Declaration, metrics: &[Metric]) -> Result<String, Wrong> {
    let Some(Labels(labels)) = &declaration.labels else {
        return Ok(String::new());
    };
    if let Some(positive) = &declaration.positive {
        return labels.get(positive).cloned().ok_or_else(|| {
            let known: Vec<_> = labels.keys().map(String::as_str).collect();
            let reason = format!("is `{positive}`, but `labels` has {}", known.join(", "));
            ("positive", reason)
        });
    }
    if labels.len() > 2 && metrics.contains(&Metric::F1) {
        return Err((
            "metrics",
            "has f1, which is of two labels; take macro_f1, or name the label with `positive`"
                .into(),
        ));
    }
    Ok(labels.values().next_back().cloned().unwrap_or_default())
}
