//! Devices by name.

use burn::tensor::Device;
use clap::ValueEnum;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum DeviceName {
    /// The processor.
    Cpu,
}

impl DeviceName {
    /// The device.
    pub fn open(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
        }
    }

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
        }
    }
}
