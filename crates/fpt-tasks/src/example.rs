//! Examples: what every task is read into.

use std::collections::HashSet;
use std::sync::Arc;

use crate::read::Warnings;

/// One text-to-text example, verbalised as the paper does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The file's own id where it has one, else the number of the row, from 0.
    pub id: String,
    /// The text for the encoder.
    pub source: String,
    /// The text to generate, without the sentinel that [`tokenize`](crate::tokenize) puts before
    /// it; `None` where the file hides the answer.
    pub target: Option<String>,
    /// What predictions are scored against.
    pub gold: Gold,
    /// Examples of the same query share it: ReCoRD has one example for each distinct answer.
    pub group: usize,
    /// The entities that may answer, in order of appearance; empty except for ReCoRD. Shared by
    /// all queries of a passage.
    pub candidates: Arc<[Candidate]>,
}

/// The accepted answers of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gold {
    /// The file does not say, as in the test files of GLUE and SuperGLUE.
    Hidden,
    /// Any of these, without duplicates. None at all means that the question has no answer
    /// (SQuAD 2.0).
    Answers(Vec<String>),
}

/// An entity of a ReCoRD passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The entity as it stands in the passage.
    pub text: String,
    /// How often the passage mentions it, as a whole word.
    pub mentions: usize,
}

/// The examples of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// In the order of the file.
    pub examples: Vec<Example>,
    /// What was skipped or odd.
    pub warnings: Warnings,
}

impl Dataset {
    /// The examples to evaluate on: the first of each [`group`](Example::group), so that every
    /// query counts once. Only ReCoRD has more than one.
    #[must_use]
    pub fn evaluation(mut self) -> Self {
        let mut seen = HashSet::new();
        self.examples.retain(|example| seen.insert(example.group));
        self
    }
}
