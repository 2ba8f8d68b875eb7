//! What a run tells: while it goes on, and beside the weights.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// The log of the model that it went on from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Box<PretrainLog>>,
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
    /// A checkpoint was found; training goes on after this step.
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
    /// Something is odd: a checkpoint was passed over, or can't be written.
    Warning {
        /// What, with the file.
        message: String,
    },
    /// What lay where the model goes was moved.
    SetAside {
        /// Where it is now.
        path: PathBuf,
    },
    /// The skills were measured: every `save_every` steps, and at the end.
    Skills {
        /// Steps taken.
        step: usize,
        /// Masked-token accuracy of each skill, percent.
        skills: BTreeMap<String, f64>,
    },
}
