//! The metrics that a declaration may name.

use std::cell::OnceCell;
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
}

/// Answers that metrics are asked of. What several of them are made of is computed once.
pub(super) struct Answered<'a> {
    /// Trimmed pairs `(answer, target)`.
    pairs: Vec<(&'a str, &'a str)>,
    /// The words of the labels.
    labels: Vec<&'a str>,
    /// The one that F1 is of.
    positive: &'a str,
    confusion: OnceCell<Confusion>,
    rouge: OnceCell<Vec<rouge::Rouge>>,
}

impl<'a> Answered<'a> {
    pub(super) fn new(
        pairs: Vec<(&'a str, &'a str)>,
        labels: Vec<&'a str>,
        positive: &'a str,
    ) -> Self {
        Self {
            pairs,
            labels,
            positive,
            confusion: OnceCell::new(),
            rouge: OnceCell::new(),
        }
    }

    /// A metric of them, in percent.
    pub(super) fn score(&self, metric: Metric) -> f64 {
        let pairs = || self.pairs.iter().copied();
        match metric {
            Metric::Accuracy | Metric::ExactMatch => classification::accuracy(pairs()),
            Metric::F1 => {
                let is = |text: &str| text == self.positive;
                classification::binary_f1(pairs().map(|(answer, gold)| (is(answer), is(gold))))
            }
            Metric::MacroF1 => self.confusion().macro_f1(),
            Metric::Mcc => self.confusion().mcc(),
            Metric::TokenF1 => mean_percent(pairs().map(|(answer, gold)| squad::f1(gold, answer))),
            Metric::Rouge1 => self.rouge(|scores| scores.rouge_1),
            Metric::Rouge2 => self.rouge(|scores| scores.rouge_2),
            Metric::RougeL => self.rouge(|scores| scores.rouge_l),
            Metric::RougeLsum => self.rouge(|scores| scores.rouge_lsum),
            Metric::Bleu => bleu(pairs()),
            Metric::Pearson => 100.0 * pearson(&numbers(&self.pairs)),
            Metric::Spearman => 100.0 * spearman(&numbers(&self.pairs)),
        }
    }

    fn confusion(&self) -> &Confusion {
        let made = || Confusion::new(self.labels.iter().copied(), self.pairs.iter().copied());
        self.confusion.get_or_init(made)
    }

    fn rouge(&self, value: fn(&rouge::Rouge) -> f64) -> f64 {
        let scored = || {
            let pairs = self.pairs.iter();
            pairs
                .map(|(answer, gold)| rouge::rouge(answer, gold))
                .collect()
        };
        mean_percent(self.rouge.get_or_init(scored).iter().map(value))
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
