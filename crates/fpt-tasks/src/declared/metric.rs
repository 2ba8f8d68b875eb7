//! The metrics that a declaration may name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::bleu::bleu;
use crate::metrics::correlation::{pearson, spearman};
use crate::metrics::{Confusion, classification, mean_percent, rouge, squad};

/// A metric by its name; all are in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of right labels.
    Accuracy,
    /// F1 of the positive one of two labels, as scikit-learn's.
    F1,
    /// The mean F1 of the labels, as scikit-learn's.
    MacroF1,
    /// Matthews' correlation coefficient, as scikit-learn's.
    Mcc,
    /// The share of answers that are the target, character by character.
    ExactMatch,
    /// F1 of the words, normalised as SQuAD's script does.
    TokenF1,
    /// F1 of ROUGE-1, as `rouge-score`'s without stemming.
    #[serde(rename = "rouge_1", alias = "rouge1")]
    Rouge1,
    /// ROUGE-2.
    #[serde(rename = "rouge_2", alias = "rouge2")]
    Rouge2,
    /// ROUGE-L.
    #[serde(rename = "rouge_l", alias = "rougeL")]
    RougeL,
    /// ROUGE-L over the lines of a summary.
    #[serde(rename = "rouge_lsum", alias = "rougeLsum")]
    RougeLsum,
    /// BLEU of all answers, as sacrebleu's.
    #[serde(alias = "sacrebleu")]
    Bleu,
    /// Pearson's correlation of numbers. What is no number counts as -1, as in T5's evaluation.
    Pearson,
    /// Spearman's correlation of their ranks; as above.
    Spearman,
}

impl Metric {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::MacroF1 => "macro_f1",
            Self::Mcc => "mcc",
            Self::ExactMatch => "exact_match",
            Self::TokenF1 => "token_f1",
            Self::Rouge1 => "rouge_1",
            Self::Rouge2 => "rouge_2",
            Self::RougeL => "rouge_l",
            Self::RougeLsum => "rouge_lsum",
            Self::Bleu => "bleu",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// Whether it is of labels.
    pub(super) const fn is_of_labels(self) -> bool {
        matches!(self, Self::F1 | Self::MacroF1 | Self::Mcc)
    }

    /// Whether it is of numbers.
    pub(super) const fn is_of_numbers(self) -> bool {
        matches!(self, Self::Pearson | Self::Spearman)
    }

    /// Whether it is one of ROUGE's.
    pub(super) const fn is_rouge(self) -> bool {
        matches!(
            self,
            Self::Rouge1 | Self::Rouge2 | Self::RougeL | Self::RougeLsum
        )
    }

    /// Of trimmed pairs `(answer, target)`; `labels` are the words, and `positive` is that of F1.
    pub(super) fn of(self, pairs: &[(&str, &str)], labels: &[&str], positive: &str) -> f64 {
        let confusion = || Confusion::new(labels.iter().copied(), pairs.iter().copied());
        let mean = |of: fn(&str, &str) -> f64| {
            mean_percent(pairs.iter().map(|(answer, gold)| of(gold, answer)))
        };
        let rouge = |value: fn(rouge::Rouge) -> f64| {
            let scores = pairs
                .iter()
                .map(|(answer, gold)| rouge::rouge(answer, gold));
            mean_percent(scores.map(value))
        };
        match self {
            Self::Accuracy | Self::ExactMatch => classification::accuracy(pairs.iter().copied()),
            Self::F1 => classification::binary_f1(
                pairs
                    .iter()
                    .map(|&(answer, gold)| (answer == positive, gold == positive)),
            ),
            Self::MacroF1 => confusion().macro_f1(),
            Self::Mcc => confusion().mcc(),
            Self::TokenF1 => mean(squad::f1),
            Self::Rouge1 => rouge(|scores| scores.rouge_1),
            Self::Rouge2 => rouge(|scores| scores.rouge_2),
            Self::RougeL => rouge(|scores| scores.rouge_l),
            Self::RougeLsum => rouge(|scores| scores.rouge_lsum),
            Self::Bleu => bleu(pairs.iter().copied()),
            Self::Pearson => 100.0 * pearson(&numbers(pairs)),
            Self::Spearman => 100.0 * spearman(&numbers(pairs)),
        }
    }
}

/// As T5's `string_to_float` reads them.
fn numbers(pairs: &[(&str, &str)]) -> Vec<(f64, f64)> {
    let number = |text: &str| number(text).unwrap_or(-1.0);
    pairs
        .iter()
        .map(|(answer, gold)| (number(answer), number(gold)))
        .collect()
}

/// The number that a text is.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
