//! Predictions in the formats that the leaderboards take.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};

use serde::Serializer;
use serde::ser::SerializeMap;
use thiserror::Error;

use crate::{Example, Task, TaskName};

/// Why predictions could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// One prediction is needed for each example, in the same order.
    #[error("{predictions} predictions for {examples} examples; give one for each, in order")]
    Count {
        /// The number of examples.
        examples: usize,
        /// The number of predictions.
        predictions: usize,
    },
    /// GLUE and SuperGLUE number their examples.
    #[error("example `{id}` has no whole number for an id, which the {task} leaderboard needs")]
    Id {
        /// The task.
        task: TaskName,
        /// The first such id.
        id: String,
    },
    /// Two examples (of ReCoRD: two queries) have the same id.
    #[error("two examples have the id `{id}`")]
    DuplicateId {
        /// The first such id.
        id: String,
    },
    /// Writing failed.
    #[error("cannot write the predictions")]
    Io(#[from] io::Error),
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Submitted {
    /// How many predictions. Of ReCoRD one for each query, whatever the number of its answers.
    pub written: usize,
    /// How many of them were no label of the task and went out as another one.
    pub replaced: usize,
}

/// How the predictions of a task are handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission<'a> {
    /// The name of the file that the leaderboard expects.
    pub file: Cow<'a, str>,
    /// What is in it.
    pub format: SubmissionFormat<'a>,
}

/// What is in a file of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmissionFormat<'a> {
    /// A table of `index` and `prediction`, as in the sample submission and FAQ of
    /// <https://gluebenchmark.com/faq>.
    Table {
        /// What stands in the file, with the target that it means.
        labels: &'a [(&'a str, &'a str)],
        /// What stands there for a prediction that is no label.
        otherwise: &'a str,
    },
    /// Lines of `{"idx":7,"label":"an answer"}`, `idx` that of the query: <https://super.gluebenchmark.com/faq>.
    JsonLines,
    /// One JSON object of ids and answers, as the evaluation script of
    /// <https://rajpurkar.github.io/SQuAD-explorer/> reads it.
    JsonObject {
        /// The prediction that goes out as the empty string.
        no_answer: &'a str,
    },
    /// One prediction a line, in the order of the examples, whose ids don't matter: what the scripts of `rouge` and
    /// fairseq read.
    Lines,
}

impl Submission<'_> {
    /// One prediction a line, in `<name>.txt`.
    pub fn lines(name: &TaskName) -> Self {
        Self {
            file: format!("{name}.txt").into(),
            format: SubmissionFormat::Lines,
        }
    }
}

/// Writes one prediction for each example as the task's [`Submission`] says; answers are not needed. Predictions are
/// trimmed.
///
/// | task | format |
/// |---|---|
/// | MNLI, QQP | [`SubmissionFormat::Table`]; the label word, for QQP 0 or 1 |
/// | ReCoRD | [`SubmissionFormat::JsonLines`] |
/// | SQuAD 2.0 | [`SubmissionFormat::JsonObject`] |
/// | XSum, which has no leaderboard | [`SubmissionFormat::Lines`] |
///
/// A model may generate what is no label. Such a prediction goes out as `neutral` (MNLI) or as
/// `is_duplicate` (QQP, for which the paper's authors take it too), and is counted.
///
/// # Errors
/// When the numbers differ, when an id is no number or twice there, and when writing fails. What
/// was written before stays in `out`.
pub fn write_submission(
    task: &dyn Task,
    examples: &[Example],
    predictions: &[String],
    out: &mut dyn Write,
) -> Result<Submitted, SubmitError> {
    if examples.len() != predictions.len() {
        return Err(SubmitError::Count {
            examples: examples.len(),
            predictions: predictions.len(),
        });
    }
    let mut groups = HashSet::new();
    let rows = examples.iter().zip(predictions);
    let rows: Vec<_> = rows
        .filter(|(example, _)| groups.insert(example.group))
        .map(|(example, prediction)| (&*example.id, prediction.trim()))
        .collect();
    let format = task.submission().format;
    let mut ids = HashSet::new();
    if format != SubmissionFormat::Lines
        && let Some((id, _)) = rows.iter().find(|(id, _)| !ids.insert(id))
    {
        let id = (*id).to_owned();
        return Err(SubmitError::DuplicateId { id });
    }
    let replaced = match format {
        SubmissionFormat::Table { labels, otherwise } => {
            write_table(&task.name(), &rows, out, (labels, otherwise))?
        }
        SubmissionFormat::JsonLines => write_json_lines(&task.name(), &rows, out).map(|()| 0)?,
        SubmissionFormat::JsonObject { no_answer } => {
            write_json_object(&rows, out, no_answer).map(|()| 0)?
        }
        SubmissionFormat::Lines => write_lines(&rows, out).map(|()| 0)?,
    };
    out.flush()?;
    Ok(Submitted {
        written: rows.len(),
        replaced,
    })
}

fn number(task: &TaskName, id: &str) -> Result<u64, SubmitError> {
    id.parse().map_err(|_| SubmitError::Id {
        task: task.clone(),
        id: id.to_owned(),
    })
}

/// Returns how many predictions were no label.
fn write_table(
    task: &TaskName,
    rows: &[(&str, &str)],
    out: &mut dyn Write,
    (labels, otherwise): (&[(&str, &str)], &str),
) -> Result<usize, SubmitError> {
    let mut replaced = 0;
    writeln!(out, "index\tprediction")?;
    for &(id, prediction) in rows {
        let label = labels.iter().find(|(_, target)| *target == prediction);
        let label = label.map_or_else(
            || {
                replaced += 1;
                otherwise
            },
            |&(label, _)| label,
        );
        writeln!(out, "{}\t{label}", number(task, id)?)?;
    }
    Ok(replaced)
}

fn write_json_object(
    rows: &[(&str, &str)],
    out: &mut dyn Write,
    no_answer: &str,
) -> Result<(), SubmitError> {
    let mut json = serde_json::Serializer::new(&mut *out);
    let mut map = json
        .serialize_map(Some(rows.len()))
        .map_err(io::Error::from)?;
    for &(id, prediction) in rows {
        let answer = if prediction == no_answer {
            ""
        } else {
            prediction
        };
        map.serialize_entry(id, answer).map_err(io::Error::from)?;
    }
    map.end().map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn write_json_lines(
    task: &TaskName,
    rows: &[(&str, &str)],
    out: &mut dyn Write,
) -> Result<(), SubmitError> {
    for &(id, prediction) in rows {
        let idx = number(task, id)?;
        let label = serde_json::to_string(prediction).map_err(io::Error::from)?;
        writeln!(out, "{{\"idx\":{idx},\"label\":{label}}}")?;
    }
    Ok(())
}

fn write_lines(rows: &[(&str, &str)], out: &mut dyn Write) -> Result<(), SubmitError> {
    for (_, prediction) in rows {
        let words: Vec<_> = prediction.split_whitespace().collect();
        writeln!(out, "{}", words.join(" "))?;
    }
    Ok(())
}
