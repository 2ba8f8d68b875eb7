//! The shape of a batch.

use serde::{Deserialize, Serialize};

use crate::Stage;

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

    /// What a stage makes of it: fewer rows, and sources cut, as it asks for.
    #[must_use]
    pub fn of_stage(self, stage: &Stage) -> Self {
        let cut = |max| self.source.min(max);
        Self {
            rows: stage.batch.of(self.rows),
            source: stage.max_source.map_or(self.source, cut),
            ..self
        }
    }
}
