#![doc = include_str!("../README.md")]

mod batch;
mod config;
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

pub use config::{Curriculum, ModelShape, PretrainConfig};
pub use error::PretrainError;
pub use host::Host;
pub use log::{LossPoint, PretrainEvent, PretrainLog};
pub use run::pretrain;
