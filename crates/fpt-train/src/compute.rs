//! Where a run computes, and how precisely.

use std::path::Path;

use burn::tensor::Device;
use fpt_t5::{Precision, T5, T5Error};

use crate::RunConfig;

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

    /// The model of a directory, in this precision.
    ///
    /// # Errors
    /// As [`T5::from_pretrained_in`].
    pub(crate) fn load(&self, directory: &Path) -> Result<T5, T5Error> {
        T5::from_pretrained_in(directory, self.precision, &self.device)
    }

    /// The precision.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
