//! Where a run computes, and how precisely.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::RunConfig;

/// The numbers that a frozen model computes with. Part of a run's configuration, since results depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
}

/// A device and the precision of what is computed on it.
#[derive(Clone, Debug)]
pub struct Compute {
    device: Device,
    precision: Precision,
}

impl Compute {
    /// As `config` wants it, on `device`, which must not be an autodiff device.
    pub fn new(config: &RunConfig, device: &Device) -> Self {
        Self {
            device: device.clone(),
            precision: config.precision,
        }
    }

    /// Where the frozen model lies, which gets no gradients.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Where the prompt lies while it is trained.
    pub(crate) fn training_device(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// The precision.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
