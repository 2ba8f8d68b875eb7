//! The shape of a batch.

use serde::{Deserialize, Serialize};

/// The shape of a batch, padding included: padded positions are computed like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchShape {
    /// Examples.
    pub rows: usize,
    /// Source tokens of each row, the prompt not counted.
    pub source: usize,
    /// Target tokens of each row.
    pub target: usize,
    /// Vectors of the soft prompt before each source.
    pub prompt: usize,
}

impl BatchShape {
    /// Positions that the encoder sees in each row: prompt and source.
    pub(crate) const fn encoder_length(&self) -> usize {
        self.prompt.saturating_add(self.source)
    }

    /// With sources cut to so many tokens, as a stage may ask for.
    #[must_use]
    pub fn cut(self, max_source: Option<usize>) -> Self {
        Self {
            source: max_source.map_or(self.source, |max| self.source.min(max)),
            ..self
        }
    }
}
