//! Where a run computes, and how precisely.

use std::path::Path;

use burn::tensor::Device;
use fpt_t5::{T5, T5Error};
use serde::{Deserialize, Serialize};

use crate::RunConfig;

/// The numbers that a frozen model computes with. Part of a run's configuration, since results depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats. On CUDA products of matrices too are f32, not TF32.
    #[default]
    F32,
    /// Weights, and on CUDA products and the activations that they take, in bf16 with sums in f32; residual stream,
    /// softmax, statistics of norms, loss, prompt and optimizer in f32. A processor computes in f32 with the rounded
    /// weights. See [`T5::into_bf16`](fpt_t5::T5::into_bf16).
    Bf16,
    /// Weights in a byte each, with a scale for each block of at most 128, and what they multiply rounded in the same way; all
    /// else in f32. On processors only. See [`T5::into_int8`](fpt_t5::T5::into_int8).
    Int8,
}

impl Precision {
    /// Bytes of a weight, but for the few of norms and positions, which are f32 always.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }

    /// `model` in this precision.
    ///
    /// # Errors
    /// As [`T5::into_bf16`] and [`T5::into_int8`].
    pub fn apply(self, model: T5) -> Result<T5, T5Error> {
        match self {
            Self::F32 => Ok(model),
            Self::Bf16 => model.into_bf16(),
            Self::Int8 => model.into_int8(),
        }
    }
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

    /// The model of a directory, in this precision.
    ///
    /// # Errors
    /// As [`T5::from_pretrained`] and [`Precision::apply`].
    pub(crate) fn load(&self, directory: &Path) -> Result<T5, T5Error> {
        self.precision
            .apply(T5::from_pretrained(directory, &self.device)?)
    }

    /// The precision.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
