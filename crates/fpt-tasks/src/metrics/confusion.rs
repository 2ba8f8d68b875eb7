//! Which label was taken for which.

use serde::Serialize;

use crate::{Example, Gold, Task};

/// How often each label was answered with each: the confusion matrix of a classification. What is no label has a column
/// of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    labels: Vec<String>,
    /// Row by row of the right labels, a column for each answered label, and one more.
    counts: Vec<Vec<usize>>,
}

/// The scores of one label, in percent, as scikit-learn's `precision_recall_fscore_support` with `zero_division=0`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelScores {
    /// The label.
    pub label: String,
    /// Of the answers that are this label, those that are right.
    pub precision: f64,
    /// Of the examples of this label, those that are answered with it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many examples have it.
    pub support: usize,
    /// How many answers are it.
    pub answered: usize,
}

impl Confusion {
    /// Of pairs `(answer, right label)` that are trimmed. Right labels that `labels` has not follow behind them, as they
    /// come.
    pub fn new<'a>(
        labels: impl IntoIterator<Item = &'a str>,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let mut known: Vec<&str> = labels.into_iter().collect();
        for (_, gold) in &pairs {
            if !known.contains(gold) {
                known.push(gold);
            }
        }
        let place = |text: &str| known.iter().position(|label| *label == text);
        let mut counts = vec![vec![0; known.len() + 1]; known.len()];
        for (answer, gold) in pairs {
            if let Some(row) = place(gold) {
                counts[row][place(answer).unwrap_or(known.len())] += 1;
            }
        }
        Self {
            labels: known.into_iter().map(str::to_owned).collect(),
            counts,
        }
    }

    /// Of the answers to examples of `task`; `None` where it has no labels, where a right one is hidden, and of none.
    pub fn of_task<'a>(
        task: &dyn Task,
        answers: impl IntoIterator<Item = (&'a Example, &'a str)>,
    ) -> Option<Self> {
        let labels = task.labels();
        if labels.is_empty() {
            return None;
        }
        let pair = |(example, answer): (&'a Example, &'a str)| match &example.gold {
            Gold::Hidden => None,
            Gold::Answers(right) => {
                let right = right.first().map_or("", |right| right.trim());
                Some((answer.trim(), right))
            }
        };
        let pairs: Vec<_> = answers.into_iter().map(pair).collect::<Option<_>>()?;
        (!pairs.is_empty()).then(|| Self::new(labels, pairs))
    }

    /// The labels, in the order of rows and columns.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How often the examples of a label were answered with each label, and at last with something that is none.
    pub fn row(&self, label: usize) -> &[usize] {
        &self.counts[label]
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// The share of answers that are no label, in percent; 0 of none.
    pub fn no_label(&self) -> f64 {
        let none: usize = self.counts.iter().filter_map(|row| row.last()).sum();
        percent(none, self.examples())
    }

    /// The scores of each label.
    pub fn by_label(&self) -> Vec<LabelScores> {
        let labels = self.labels.iter().enumerate();
        labels
            .map(|(index, label)| {
                let (support, answered) = (self.support(index), self.answered(index));
                let right = self.counts[index][index];
                LabelScores {
                    label: label.clone(),
                    precision: percent(right, answered),
                    recall: percent(right, support),
                    f1: percent(2 * right, support + answered),
                    support,
                    answered,
                }
            })
            .collect()
    }

    /// The share of right answers, in percent; 0 of none.
    pub fn accuracy(&self) -> f64 {
        percent(self.right(), self.examples())
    }

    /// The mean F1 of the labels, in percent, as scikit-learn's `f1_score` with `average="macro"`, these labels and
    /// `zero_division=0`.
    pub fn macro_f1(&self) -> f64 {
        let by_label = self.by_label();
        let sum: f64 = by_label.iter().map(|scores| scores.f1).sum();
        sum / by_label.len().max(1) as f64
    }

    /// The correlation coefficient of Matthews and Gorodkin, in percent, as scikit-learn's `matthews_corrcoef` where
    /// all that is no label is one more label; 0 where it is not defined.
    pub fn mcc(&self) -> f64 {
        let all = self.examples() as f64;
        let (mut both, mut answered, mut gold) = (0.0, 0.0, 0.0);
        for label in 0..=self.labels.len() {
            let p = self.answered(label) as f64;
            let t = if label < self.labels.len() {
                self.support(label) as f64
            } else {
                0.0
            };
            both += p * t;
            answered += p * p;
            gold += t * t;
        }
        let spread = ((all * all - answered) * (all * all - gold)).sqrt();
        if spread > 0.0 {
            100.0 * (self.right() as f64 * all - both) / spread
        } else {
            0.0
        }
    }

    fn right(&self) -> usize {
        let rows = self.counts.iter().enumerate();
        rows.map(|(index, row)| row[index]).sum()
    }

    fn support(&self, label: usize) -> usize {
        self.counts[label].iter().sum()
    }

    fn answered(&self, label: usize) -> usize {
        self.counts.iter().map(|row| row[label]).sum()
    }
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}
