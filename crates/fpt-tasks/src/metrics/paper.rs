//! The metrics of the paper's authors, where they are not the official ones.

use std::collections::HashSet;

use super::bag_f1;
use super::rouge::lcs_table;
use crate::text::split_whitespace;

/// What is generated where a question has no answer.
pub const NO_ANSWER: &str = "no answer";

/// Whether a prediction is one of the answers, as raw strings after trimming.
pub fn exact_match(prediction: &str, answers: &[String]) -> bool {
    answers
        .iter()
        .any(|answer| answer.trim() == prediction.trim())
}

/// F1 of the raw, whitespace-separated words, as a fraction; 0 for the prediction [`NO_ANSWER`].
pub fn word_f1(gold: &str, prediction: &str) -> f64 {
    if prediction == NO_ANSWER {
        return 0.0;
    }
    let words = |text| split_whitespace(text).collect::<Vec<_>>();
    bag_f1(&words(gold), &words(prediction))
}

/// F1 scores of one prediction, as fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rouge {
    /// Distinct words.
    pub rouge_1: f64,
    /// Distinct pairs of words.
    pub rouge_2: f64,
    /// Summary-level longest common subsequence, over distinct words.
    pub rouge_l: f64,
}

/// ROUGE as the package `rouge` computes it, whose copy the authors use: texts are split into
/// sentences at `.` and into words at whitespace, case and punctuation count, repeated words and
/// pairs do not. Where either text is empty all scores are 0.
pub fn rouge(prediction: &str, gold: &str) -> Rouge {
    let (prediction, gold) = (sentences(prediction), sentences(gold));
    Rouge {
        rouge_1: ngrams(&prediction, &gold, 1),
        rouge_2: ngrams(&prediction, &gold, 2),
        rouge_l: summary_level(&prediction, &gold),
    }
}

type Sentence<'a> = Vec<&'a str>;

fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let parts = text.split('.').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let mut words: Vec<_> = split_whitespace(part).collect();
            if words.is_empty() {
                // The package takes a blank sentence for one empty word.
                words.push("");
            }
            words
        })
        .collect()
}

/// The small number is the package's own guard against division by zero.
fn f1(hits: usize, predicted: usize, gold: usize) -> f64 {
    let part = |of: usize| hits as f64 / of.max(1) as f64;
    let (precision, recall) = (part(predicted), part(gold));
    2.0 * (precision * recall / (precision + recall + 1e-8))
}

fn ngrams(prediction: &[Sentence<'_>], gold: &[Sentence<'_>], n: usize) -> f64 {
    let (prediction, gold) = (prediction.concat(), gold.concat());
    let predicted: HashSet<_> = prediction.windows(n).collect();
    let gold: HashSet<_> = gold.windows(n).collect();
    f1(
        predicted.intersection(&gold).count(),
        predicted.len(),
        gold.len(),
    )
}

fn summary_level(prediction: &[Sentence<'_>], gold: &[Sentence<'_>]) -> f64 {
    let distinct = |sentences: &[Sentence<'_>]| {
        let words: HashSet<_> = sentences.iter().flatten().collect();
        words.len()
    };
    let mut union = HashSet::new();
    // The same pair of sentences adds nothing, and there may be thousands of blank ones.
    let [gold_lines, candidates] = [gold, prediction].map(HashSet::<&Sentence<'_>>::from_iter);
    for line in gold_lines {
        for candidate in &candidates {
            union.extend(common_subsequence(line, candidate));
        }
    }
    f1(union.len(), distinct(prediction), distinct(gold))
}

/// The words of one longest common subsequence; which one is the package's choice.
fn common_subsequence<'a>(rows: &[&'a str], columns: &[&str]) -> Vec<&'a str> {
    let table = lcs_table(rows, columns);
    let (mut i, mut j) = (rows.len(), columns.len());
    let mut words = Vec::new();
    while i > 0 && j > 0 {
        if rows[i - 1] == columns[j - 1] {
            words.push(rows[i - 1]);
            i -= 1;
            j -= 1;
        } else if table.at(i - 1, j) > table.at(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    words
}
