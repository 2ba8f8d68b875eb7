//! The peak of memory of a training step, or of answers, on the device that computes it.
//!
//! Predicted are live bytes, moment by moment: what the backward pass keeps of the layers (see `activations`), what
//! an operation needs while it runs, the full model, and what a stage's partial model copies of it. What a driver takes
//! for itself and an allocator rounds up comes on top; [`fit`] leaves a tenth of the memory to them.

mod activations;
mod answer;
mod fit;
mod settings;
mod weights;

use serde::{Deserialize, Serialize};

pub use answer::{AnswerShape, answering};
pub use fit::{SPARE, fit};
pub use settings::{Layout, Numbers, Recompute, StepSettings};

use crate::cost::BatchShape;
use crate::{ModelShape, PartialSize};

/// Bytes at the moment of a step at which there are most of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeakBytes {
    /// Weights of the full model, which stays on the device.
    pub weights: u64,
    /// Weights that the partial model holds as copies, because it has not all of their rows or columns.
    pub copies: u64,
    /// Activations that the backward pass keeps.
    pub kept: u64,
    /// What else there is at the worst moment.
    pub transient: u64,
}

impl PeakBytes {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.weights
            .saturating_add(self.copies)
            .saturating_add(self.kept)
            .saturating_add(self.transient)
    }
}

/// The peak of a step that trains a prompt on the partial model `size` of a frozen model, on a batch of this shape.
pub fn peak(
    shape: &ModelShape,
    size: &PartialSize,
    batch: &BatchShape,
    settings: &StepSettings,
) -> PeakBytes {
    let (kept, transient) = activations::at_worst(shape, size, batch, settings);
    PeakBytes {
        weights: weights::full(shape, settings.precision),
        copies: weights::copies(shape, size, settings.precision),
        kept,
        transient,
    }
}
