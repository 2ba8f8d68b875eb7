//! How the answers of a task are found.

use fpt_t5::{T5Error, T5Tokenizer};
use fpt_tasks::{Answers, SENTINEL, Task, cut};

use crate::TrainError;

/// How answers are found, with what that needs of a tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answering {
    /// The labels and their token ids, of which the most probable is the answer; none where answers are generated.
    labels: Vec<(String, Vec<u32>)>,
}

impl Answering {
    /// Answers are generated.
    pub fn generated() -> Self {
        Self::default()
    }

    /// As `task` wants it; its labels are tokenized as its targets are, of which `max_target` tokens count.
    ///
    /// # Errors
    /// [`TrainError::SameLabel`] if two labels are one to the model.
    pub fn of(
        task: &dyn Task,
        tokenizer: &T5Tokenizer,
        max_target: usize,
    ) -> Result<Self, TrainError> {
        if task.answers() == Answers::Generated {
            return Ok(Self::generated());
        }
        let mut labels: Vec<(String, Vec<u32>)> = Vec::new();
        for label in task.labels() {
            let ids = cut(label_ids(tokenizer, label)?, max_target);
            if let Some((other, _)) = labels.iter().find(|(_, known)| *known == ids) {
                return Err(TrainError::SameLabel {
                    labels: [other.clone(), label.to_owned()],
                    most: max_target,
                });
            }
            labels.push((label.to_owned(), ids));
        }
        Ok(Self { labels })
    }

    /// The labels, where answers are chosen among them.
    pub(crate) fn labels(&self) -> &[(String, Vec<u32>)] {
        &self.labels
    }
}

/// The token ids of a label as a target, with sentinel and `</s>`.
fn label_ids(tokenizer: &T5Tokenizer, label: &str) -> Result<Vec<u32>, T5Error> {
    tokenizer.encode(&format!("{SENTINEL}{label}"))
}
