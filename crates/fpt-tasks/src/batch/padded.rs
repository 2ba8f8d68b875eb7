//! A padded batch.

use serde::{Deserialize, Serialize};

use crate::TokenizedExample;

/// The padding id of T5.
pub const PAD_ID: i32 = 0;
/// The label that the loss passes over.
pub const IGNORED_LABEL: i32 = -100;

/// How long a batch becomes. Never shorter than its longest example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PadTo {
    /// The longest example, rounded up to a multiple of this (0 counts as 1).
    Multiple(usize),
    /// At least these lengths, whatever is in the batch. The paper pads sources to 492 and
    /// targets to the task's limit.
    Fixed {
        /// Tokens.
        source: usize,
        /// Tokens.
        target: usize,
    },
}

/// A padded batch, row by row in one allocation for each array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    /// Which examples, one for each row.
    pub indices: Vec<usize>,
    /// The number of rows.
    pub size: usize,
    /// Tokens in a row of `source`.
    pub source_len: usize,
    /// Tokens in a row of `labels`; at least 1, also where targets are hidden.
    pub target_len: usize,
    /// Token ids, size × source_len, padded with [`PAD_ID`].
    pub source: Vec<i32>,
    /// Whether a source position holds a token, size × source_len.
    pub source_mask: Vec<bool>,
    /// Token ids, size × target_len, padded with [`IGNORED_LABEL`].
    pub labels: Vec<i32>,
}

impl TokenBatch {
    /// Tokens of its sources and targets, padding not counted.
    pub fn tokens(&self) -> u64 {
        let source = self.source_mask.iter().filter(|real| **real).count();
        let target = self
            .labels
            .iter()
            .filter(|id| **id != IGNORED_LABEL)
            .count();
        (source + target) as u64
    }

    /// Pads the examples at `indices`.
    ///
    /// # Panics
    /// When an index is out of range.
    pub fn new(examples: &[TokenizedExample], indices: Vec<usize>, pad: PadTo) -> Self {
        let longest = |length: fn(&TokenizedExample) -> usize| {
            indices
                .iter()
                .map(|&i| length(&examples[i]))
                .max()
                .unwrap_or(0)
        };
        let source_len = pad.length(longest(|e| e.source.len()), |fixed| fixed.0);
        let target_len = pad.length(longest(|e| e.target.len()), |fixed| fixed.1);
        let mut source = Vec::with_capacity(indices.len() * source_len);
        let mut source_mask = Vec::with_capacity(indices.len() * source_len);
        let mut labels = Vec::with_capacity(indices.len() * target_len);
        for (row, &index) in (1..).zip(&indices) {
            let example = &examples[index];
            // Vocabularies are far smaller than 2³¹.
            source.extend(example.source.iter().map(|&id| id as i32));
            source.resize(row * source_len, PAD_ID);
            source_mask.resize(source_mask.len() + example.source.len(), true);
            source_mask.resize(row * source_len, false);
            labels.extend(example.target.iter().map(|&id| id as i32));
            labels.resize(row * target_len, IGNORED_LABEL);
        }
        Self {
            size: indices.len(),
            indices,
            source_len,
            target_len,
            source,
            source_mask,
            labels,
        }
    }
}

impl PadTo {
    /// At least 1, since no tensor may be empty.
    fn length(self, longest: usize, pick: fn((usize, usize)) -> usize) -> usize {
        match self {
            Self::Multiple(n) => longest.max(1).next_multiple_of(n.max(1)),
            Self::Fixed { source, target } => longest.max(pick((source, target))).max(1),
        }
    }
}
