//! The norm of T5.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::fused;

/// T5's layer norm: root mean square only, no mean and no bias
/// (`T5LayerNorm` in transformers, RMSNorm of Zhang and Sennrich 2019).
#[derive(Module, Debug)]
pub struct T5LayerNorm {
    /// Gain, `[d_model]`.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl T5LayerNorm {
    /// A layer norm with all gains one.
    pub fn init(d_model: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([d_model], device),
            epsilon,
        }
    }

    /// `x / sqrt(mean(x²) + ε) · weight` over the last axis; `[batch, length, d_model]` in and out, as numbers of type
    /// `dtype`, that of the products below. On a processor they stay of the type of `x`.
    pub fn forward(&self, x: Tensor<3>, dtype: FloatDType) -> Tensor<3> {
        fused::rms_norm(x, self.weight.val(), self.epsilon, dtype)
    }
}
