//! What a run tells: while it goes on, and beside the weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PretrainConfig;

/// A point of the loss curve: the mean over the steps before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps taken.
    pub step: usize,
    /// Mean training loss, nats a token.
    pub loss: f64,
}

/// What is kept beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainLog {
    /// Source revision that made the weights.
    pub revision: String,
    /// The configuration.
    pub config: PretrainConfig,
    /// Number of weights.
    pub parameters: usize,
    /// Wall-clock seconds, summed over all sittings.
    pub seconds: f64,
    /// Masked-token accuracy of each skill, percent.
    pub skills: BTreeMap<String, f64>,
    /// Training loss.
    pub curve: Vec<LossPoint>,
}

/// What a caller may show while it waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PretrainEvent {
    /// An earlier state was found; training goes on after this step.
    Resumed {
        /// Steps already taken.
        step: usize,
    },
    /// A step was taken.
    Step {
        /// Steps taken.
        step: usize,
        /// Loss of the batch.
        loss: f64,
    },
    /// The skills were measured: at every saved state, and at the end.
    Skills {
        /// Steps taken.
        step: usize,
        /// Masked-token accuracy of each skill, percent.
        skills: BTreeMap<String, f64>,
    },
}
