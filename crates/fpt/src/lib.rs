#![doc = include_str!("../README.md")]

pub mod bytes;
mod cache;
pub mod data;
mod device;
mod embedded;
pub mod experiments;
pub mod generate;
pub mod grid;
mod host;
pub mod memory;
pub mod model;
mod notes;
pub mod price;
mod report;
pub mod reproduce;
mod runs;
pub mod shell;
pub mod stop;
pub mod terminal;
pub mod verdict;

/// The version of Burn whose devices this API has.
pub use burn;
pub use device::{DeviceName, DeviceReport, Devices, Gpu, survey};
pub use host::{available_memory, host, peak_memory, revision, system_memory};
pub use notes::notes;
pub use report::report;
pub use runs::finished;
