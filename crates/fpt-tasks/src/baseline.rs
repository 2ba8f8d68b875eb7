//! What predicting without reading scores.

use std::collections::HashMap;

use crate::metrics::paper;
use crate::{Example, ScoreError, Scores, Task};

/// How many training summaries are tried as the constant one.
const CONSTANT_CANDIDATES: usize = 300;
/// On how many training examples each is tried.
const CONSTANT_SAMPLE: usize = 200;

/// A trivial predictor and its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Of the paper's tasks `majority`, `most frequent entity` or `constant`.
    pub name: &'static str,
    /// What it scores on the evaluation examples.
    pub scores: Scores,
}

impl Baseline {
    /// The task's main metric, in percent.
    pub fn value(&self) -> f64 {
        self.scores.primary_value()
    }
}

/// Always the most frequent target of the training examples; the earliest of equals.
pub(crate) fn majority<T: Task + ?Sized>(
    task: &T,
    train: &[Example],
    eval: &[Example],
) -> Result<Baseline, ScoreError> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (position, target) in targets(train).enumerate() {
        counts.entry(target).or_insert((0, position)).0 += 1;
    }
    let best = counts
        .into_iter()
        .max_by_key(|&(_, (count, position))| (count, usize::MAX - position));
    let (prediction, _) = best.ok_or(ScoreError::NoExamples)?;
    constant_prediction(task, "majority", prediction, eval)
}

/// The most frequent entity of each passage; the earliest of equals.
pub(crate) fn most_frequent_entity<T: Task + ?Sized>(
    task: &T,
    eval: &[Example],
) -> Result<Baseline, ScoreError> {
    let predictions: Vec<_> = eval
        .iter()
        .map(|example| {
            // `max_by_key` keeps the last of equals.
            let best = example.candidates.iter().rev().max_by_key(|c| c.mentions);
            best.map_or_else(String::new, |candidate| candidate.text.clone())
        })
        .collect();
    Ok(Baseline {
        name: "most frequent entity",
        scores: task.score(eval, &predictions)?,
    })
}

/// Always the same summary: of some training summaries the one with the best mean ROUGE-L on
/// some training examples, both spread evenly over the training set.
pub(crate) fn constant_summary<T: Task + ?Sized>(
    task: &T,
    train: &[Example],
    eval: &[Example],
) -> Result<Baseline, ScoreError> {
    let targets: Vec<_> = targets(train).collect();
    let sample = spread(&targets, CONSTANT_SAMPLE);
    let score = |candidate: &str| -> f64 {
        let scores = sample
            .iter()
            .map(|gold| paper::rouge(candidate, gold).rouge_l);
        scores.sum()
    };
    let best = spread(&targets, CONSTANT_CANDIDATES)
        .into_iter()
        .map(|candidate| (candidate, score(candidate)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    let (prediction, _) = best.ok_or(ScoreError::NoExamples)?;
    constant_prediction(task, "constant", prediction, eval)
}

fn constant_prediction<T: Task + ?Sized>(
    task: &T,
    name: &'static str,
    prediction: &str,
    eval: &[Example],
) -> Result<Baseline, ScoreError> {
    let predictions = vec![prediction.to_owned(); eval.len()];
    Ok(Baseline {
        name,
        scores: task.score(eval, &predictions)?,
    })
}

fn targets(examples: &[Example]) -> impl Iterator<Item = &str> {
    examples.iter().filter_map(|e| e.target.as_deref())
}

/// At most `n` items, evenly spread.
fn spread<T: Copy>(items: &[T], n: usize) -> Vec<T> {
    let n = n.min(items.len());
    (0..n).map(|i| items[i * items.len() / n]).collect()
}
