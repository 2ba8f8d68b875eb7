#![doc = include_str!("../README.md")]

mod amount;
mod config;
pub mod cost;
mod error;
pub mod memory;
mod method;
mod schedule;
#[cfg(feature = "schema")]
mod schema;
mod share;
mod size;

pub use amount::Amount;
pub use config::{ScheduleConfig, StackConfig, StageConfig};
pub use error::ScheduleError;
pub use method::{Method, Reduction, UnknownMethod};
pub use schedule::{End, Schedule, Stage};
pub use share::{Share, ShareError};
pub use size::{ModelShape, PartialSize, Reduce, StackSize};
