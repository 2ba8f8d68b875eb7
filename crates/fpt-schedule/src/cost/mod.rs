//! What schedules cost.
//!
//! Two counts of multiply-accumulates are kept apart: the paper's ([`paper_macs`]: linear layers,
//! one forward pass, fixed lengths), from which the FLOPs columns of its tables come, and the true
//! one ([`true_macs`]: every matrix product of a training step, at the lengths that are really
//! run). One multiply-accumulate is two FLOPs; ratios are the same in both.
//!
//! Element-wise work (norms, softmax, activations) is in neither. Results saturate at [`u64::MAX`].

mod batch;
mod macs;
mod memory;
mod paper;

use std::num::Saturating;

pub use batch::BatchShape;
pub use macs::{Macs, true_macs, true_share};
pub use memory::{activation_bytes, parameters, weight_bytes};
pub use paper::{
    PAPER_PROMPT, PAPER_SOURCE, PAPER_TASKS, PaperTask, paper_average, paper_macs, paper_share,
};

/// Dimensions come from files, so no product may overflow.
pub(crate) fn n(dimension: usize) -> Saturating<u64> {
    Saturating(dimension as u64)
}
