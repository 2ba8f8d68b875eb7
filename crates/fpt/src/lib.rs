#![doc = include_str!("../README.md")]

mod device;
mod host;
pub mod model;
mod report;
mod runs;
pub mod terminal;

pub use device::{DeviceName, DeviceReport, Devices, Gpu, survey};
pub use host::{host, peak_memory, revision};
pub use report::report;
pub use runs::finished;
