//! ROUGE as the package `rouge-score` computes it, without stemming.

use std::collections::HashMap;

use super::f_measure;

/// Bytes of a gold text that no summary comes near. The table of the longest common subsequence takes memory with the square
/// of the words.
pub(crate) const MOST_BYTES: usize = 1 << 13;

/// F1 scores of one prediction, as fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rouge {
    /// Words.
    pub rouge_1: f64,
    /// Pairs of words.
    pub rouge_2: f64,
    /// Longest common subsequence of the whole texts.
    pub rouge_l: f64,
    /// Union of the longest common subsequences of the lines.
    pub rouge_lsum: f64,
}

/// Scores a prediction against its gold text. Everything outside `[a-z0-9]` separates words after
/// lower-casing; line breaks separate the sentences of ROUGE-Lsum.
pub fn rouge(prediction: &str, gold: &str) -> Rouge {
    let (prediction, gold) = (prediction.to_lowercase(), gold.to_lowercase());
    let (p, g) = (words(&prediction), words(&gold));
    Rouge {
        rouge_1: ngrams(&p, &g, 1),
        rouge_2: ngrams(&p, &g, 2),
        rouge_l: f1(lcs_table(&g, &p).length(), p.len(), g.len()),
        rouge_lsum: summary_level(&prediction, &gold),
    }
}

fn words(lowercase: &str) -> Vec<&str> {
    lowercase
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

fn f1(hits: usize, predicted: usize, gold: usize) -> f64 {
    let part = |of: usize| hits as f64 / of.max(1) as f64;
    f_measure(part(predicted), part(gold))
}

fn ngrams(prediction: &[&str], gold: &[&str], n: usize) -> f64 {
    let mut counts: HashMap<&[&str], usize> = HashMap::new();
    for gram in gold.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    let mut hits = 0;
    for gram in prediction.windows(n) {
        if let Some(count) = counts.get_mut(gram).filter(|count| **count > 0) {
            *count -= 1;
            hits += 1;
        }
    }
    let grams = |words: &[&str]| (words.len() + 1).saturating_sub(n);
    f1(hits, grams(prediction), grams(gold))
}

/// Section 3.2 of the ROUGE paper; no word counts more often than either text has it.
fn summary_level(prediction: &str, gold: &str) -> f64 {
    let lines = |text| -> Vec<_> { str::split(text, '\n').map(words).collect() };
    let (prediction, gold) = (lines(prediction), lines(gold));
    let mut predicted_left = count(&prediction);
    let mut gold_left = count(&gold);
    let (predicted_len, gold_len) = (predicted_left.values().sum(), gold_left.values().sum());
    let mut hits = 0;
    for line in &gold {
        let mut union = vec![false; line.len()];
        for candidate in &prediction {
            lcs_table(line, candidate).mark(line, candidate, &mut union);
        }
        for (word, _) in line.iter().zip(&union).filter(|(_, marked)| **marked) {
            if let (Some(p), Some(g)) = (predicted_left.get_mut(word), gold_left.get_mut(word))
                && *p > 0
                && *g > 0
            {
                *p -= 1;
                *g -= 1;
                hits += 1;
            }
        }
    }
    f1(hits, predicted_len, gold_len)
}

fn count<'a>(lines: &[Vec<&'a str>]) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for &word in lines.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Lengths of the longest common subsequences of all prefixes, (rows + 1) × (columns + 1).
pub(super) struct LcsTable {
    columns: usize,
    lengths: Vec<u32>,
}

pub(super) fn lcs_table(rows: &[&str], columns: &[&str]) -> LcsTable {
    let mut table = LcsTable {
        columns: columns.len(),
        lengths: vec![0; (rows.len() + 1) * (columns.len() + 1)],
    };
    for i in 1..=rows.len() {
        for j in 1..=columns.len() {
            let length = if rows[i - 1] == columns[j - 1] {
                table.at(i - 1, j - 1) + 1
            } else {
                table.at(i - 1, j).max(table.at(i, j - 1))
            };
            table.lengths[i * (columns.len() + 1) + j] = length;
        }
    }
    table
}

impl LcsTable {
    /// Of the first `i` rows and the first `j` columns.
    pub(super) fn at(&self, i: usize, j: usize) -> u32 {
        self.lengths[i * (self.columns + 1) + j]
    }

    fn length(&self) -> usize {
        self.lengths.last().map_or(0, |&length| length as usize)
    }

    /// Marks the rows of one longest common subsequence; which one is `rouge-score`'s choice.
    fn mark(&self, rows: &[&str], columns: &[&str], marked: &mut [bool]) {
        let (mut i, mut j) = (rows.len(), columns.len());
        while i > 0 && j > 0 {
            if rows[i - 1] == columns[j - 1] {
                marked[i - 1] = true;
                i -= 1;
                j -= 1;
            } else if self.at(i, j - 1) > self.at(i - 1, j) {
                j -= 1;
            } else {
                i -= 1;
            }
        }
    }
}
