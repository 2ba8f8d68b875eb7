//! Scores, and the metrics they are made of.
//!
//! Two families stand side by side: those of the paper's authors ([`paper`]) and the official ones
//! of each data set. Functions on a single pair return fractions, aggregates return percent.

pub mod bleu;
pub mod classification;
mod confusion;
pub mod correlation;
pub mod paper;
pub mod record;
pub mod rouge;
pub mod squad;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use confusion::{Confusion, LabelScores};

use crate::{Example, Gold};

/// The scores of one set of predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The metric of the paper's tables: a key of `values`.
    pub primary: String,
    /// Every metric by name, in percent. `mean` is the mean of the authors' metrics of the task,
    /// by which they choose the best checkpoint.
    pub values: BTreeMap<String, f64>,
}

/// Why predictions could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// One prediction is needed for each example, in the same order.
    #[error("{predictions} predictions for {examples} examples; give one for each, in order")]
    Count {
        /// The number of examples.
        examples: usize,
        /// The number of predictions.
        predictions: usize,
    },
    /// Nothing to score, or nothing to learn a baseline from.
    #[error("no labelled examples to score or to take a baseline from")]
    NoExamples,
    /// The file does not say what is right.
    #[error("example `{id}` has no label or answer to score against; use a labelled split")]
    Hidden {
        /// The first such example.
        id: String,
    },
}

impl Scores {
    /// Scores of these values in percent, by name. `primary` is the metric of tables, `mean` names those whose mean
    /// is to be `mean`: at least one.
    pub fn new<'a>(
        primary: &str,
        mean: &[&str],
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Self {
        let mut values: BTreeMap<_, _> = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let sum: f64 = mean.iter().filter_map(|&name| values.get(name)).sum();
        values.insert("mean".to_owned(), sum / mean.len() as f64);
        Self {
            primary: primary.to_owned(),
            values,
        }
    }

    /// The metric of the paper's tables, in percent.
    pub fn primary_value(&self) -> f64 {
        self.get(&self.primary)
    }

    /// The mean of the authors' metrics of the task, in percent.
    pub fn mean(&self) -> f64 {
        self.get("mean")
    }

    /// NaN where a deserialised value lacks the metric, so that it never wins a comparison.
    fn get(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// Trimmed predictions with their accepted answers.
///
/// # Errors
/// When the numbers differ, when there is no example, or when an answer is hidden.
pub fn answers<'a>(
    examples: &'a [Example],
    predictions: &'a [String],
) -> Result<Vec<(&'a str, &'a [String])>, ScoreError> {
    if examples.len() != predictions.len() {
        return Err(ScoreError::Count {
            examples: examples.len(),
            predictions: predictions.len(),
        });
    }
    if examples.is_empty() {
        return Err(ScoreError::NoExamples);
    }
    let pairs = examples.iter().zip(predictions);
    pairs
        .map(|(example, prediction)| match &example.gold {
            Gold::Answers(answers) => Ok((prediction.trim(), answers.as_slice())),
            Gold::Hidden => Err(ScoreError::Hidden {
                id: example.id.clone(),
            }),
        })
        .collect()
}

/// Trimmed predictions with the one answer of their examples, trimmed too.
///
/// # Errors
/// As [`answers`].
pub fn single_answers<'a>(
    examples: &'a [Example],
    predictions: &'a [String],
) -> Result<Vec<(&'a str, &'a str)>, ScoreError> {
    let pairs = answers(examples, predictions)?.into_iter();
    Ok(pairs
        .map(|(prediction, answers)| (prediction, answers.first().map_or("", |a| a.trim())))
        .collect())
}

/// The mean of fractions, in percent; 0 of none.
pub(crate) fn mean_percent(fractions: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u64);
    for fraction in fractions {
        sum += fraction;
        count += 1;
    }
    100.0 * sum / count.max(1) as f64
}

/// Harmonic mean of precision and recall; 0 where both are 0.
fn f_measure(precision: f64, recall: f64) -> f64 {
    if precision + recall > 0.0 {
        2.0 * precision * recall / (precision + recall)
    } else {
        0.0
    }
}

/// F1 of two bags of words by their overlap; 0 where they share none.
fn bag_f1(gold: &[&str], predicted: &[&str]) -> f64 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for &word in gold {
        *counts.entry(word).or_default() += 1;
    }
    let mut shared = 0_usize;
    for word in predicted {
        if let Some(count) = counts.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 {
        return 0.0;
    }
    let shared = shared as f64;
    f_measure(shared / predicted.len() as f64, shared / gold.len() as f64)
}
