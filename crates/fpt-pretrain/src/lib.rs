#![doc = include_str!("../README.md")]

mod batch;
mod config;
mod drops;
mod error;
mod host;
mod init;
mod log;
mod optimizer;
mod probe;
mod run;
mod shards;
mod state;
mod stream;

/// The reader that only this crate calls, for the targets of `fuzz/`; part of no other build.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::state::fuzz::{read, written};
}

/// The version of Burn whose tensors and devices this API has.
pub use burn;
pub use config::{Curriculum, Dropped, Drops, ModelShape, PretrainConfig};
pub use error::PretrainError;
pub use host::Host;
pub use log::{LossPoint, PretrainEvent, PretrainLog};
pub use run::pretrain;
