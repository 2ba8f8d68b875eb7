//! Predictions in the formats that the leaderboards take.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use serde::{Serializer, ser::SerializeMap};
use thiserror::Error;

use crate::{
    Example, TaskKind,
    tasks::{mnli, qqp, squad2},
};

/// Stands for a prediction that is none of MNLI's labels.
const MNLI_FALLBACK: &str = "neutral";

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
        task: TaskKind,
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
    #[error("cannot write the predictions: {0}")]
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

/// The name that the leaderboard expects. For MNLI it is that of the matched test set; predictions
/// for `test_mismatched.tsv` go into `MNLI-mm.tsv`.
pub const fn submission_file(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Mnli => "MNLI-m.tsv",
        TaskKind::Qqp => "QQP.tsv",
        TaskKind::Squad2 => "predictions.json",
        TaskKind::Record => "ReCoRD.jsonl",
        TaskKind::Xsum => "xsum.txt",
    }
}

/// Writes one prediction for each example; answers are not needed. Predictions are trimmed.
///
/// | task | format | source |
/// |---|---|---|
/// | MNLI, QQP | table of `index` and `prediction`: the label word, for QQP 0 or 1 | the sample submission and FAQ of <https://gluebenchmark.com/faq> |
/// | ReCoRD | lines of `{"idx":7,"label":"an entity"}`, `idx` that of the query | <https://super.gluebenchmark.com/faq> |
/// | SQuAD 2.0 | one JSON object of question ids and answers; the empty string is "no answer" | the evaluation script of <https://rajpurkar.github.io/SQuAD-explorer/> |
/// | XSum | one summary a line | no leaderboard; what the scripts of `rouge` and fairseq read |
///
/// A model may generate what is no label. Such a prediction goes out as `neutral` (MNLI) or as
/// `is_duplicate` (QQP, for which the paper's authors take it too), and is counted.
///
/// # Errors
/// When the numbers differ, when an id is no number or twice there, and when writing fails. What
/// was written before stays in `out`.
pub fn write_submission(
    kind: TaskKind,
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
    // The rows of XSum are told apart by their order.
    let mut ids = HashSet::new();
    if kind != TaskKind::Xsum
        && let Some((id, _)) = rows.iter().find(|(id, _)| !ids.insert(id))
    {
        let id = (*id).to_owned();
        return Err(SubmitError::DuplicateId { id });
    }
    let replaced = match kind {
        TaskKind::Mnli => write_glue(kind, &rows, out, |text| {
            let mut labels = mnli::LABELS.into_iter();
            labels.find(|&label| label == text).ok_or(MNLI_FALLBACK)
        })?,
        TaskKind::Qqp => write_glue(kind, &rows, out, |text| match text {
            qqp::NEGATIVE => Ok("0"),
            qqp::POSITIVE => Ok("1"),
            _ => Err("1"),
        })?,
        TaskKind::Squad2 => write_squad(&rows, out).map(|()| 0)?,
        TaskKind::Record => write_record(&rows, out).map(|()| 0)?,
        TaskKind::Xsum => write_lines(&rows, out).map(|()| 0)?,
    };
    out.flush()?;
    Ok(Submitted {
        written: rows.len(),
        replaced,
    })
}

fn number(task: TaskKind, id: &str) -> Result<u64, SubmitError> {
    id.parse().map_err(|_| SubmitError::Id {
        task,
        id: id.to_owned(),
    })
}

/// `label` gives what stands for a prediction: as `Err` where the prediction is no label.
fn write_glue(
    kind: TaskKind,
    rows: &[(&str, &str)],
    out: &mut dyn Write,
    label: impl Fn(&str) -> Result<&'static str, &'static str>,
) -> Result<usize, SubmitError> {
    let mut replaced = 0;
    writeln!(out, "index\tprediction")?;
    for &(id, prediction) in rows {
        let label = label(prediction).unwrap_or_else(|fallback| {
            replaced += 1;
            fallback
        });
        writeln!(out, "{}\t{label}", number(kind, id)?)?;
    }
    Ok(replaced)
}

fn write_squad(rows: &[(&str, &str)], out: &mut dyn Write) -> Result<(), SubmitError> {
    let mut json = serde_json::Serializer::new(&mut *out);
    let mut map = json
        .serialize_map(Some(rows.len()))
        .map_err(io::Error::from)?;
    for &(id, prediction) in rows {
        let answer = match prediction {
            squad2::NO_ANSWER => "",
            answer => answer,
        };
        map.serialize_entry(id, answer).map_err(io::Error::from)?;
    }
    map.end().map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn write_record(rows: &[(&str, &str)], out: &mut dyn Write) -> Result<(), SubmitError> {
    for &(id, prediction) in rows {
        let idx = number(TaskKind::Record, id)?;
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
