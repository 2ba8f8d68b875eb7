//! The feed-forward network of a layer.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, FloatDType, Tensor, activation};

use crate::taps::{count, project, project_onto};
use crate::{FeedForwardKind, StackKind, T5Config, Taps, fused};

/// The feed-forward network of a layer (`T5DenseGatedActDense`, `T5DenseActDense` in transformers).
///
/// Its width is that of its matrices, so a network with some neurons left out is the same type.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[d_model, d_ff]`: `wi_0` of the gated form, `wi` of the ReLU form.
    pub wi_0: Linear,
    /// `[d_model, d_ff]`: the gate's partner; absent in the ReLU form.
    pub wi_1: Option<Linear>,
    /// `[d_ff, d_model]`.
    pub wo: Linear,
}

impl FeedForward {
    /// Random weights with the standard deviations of transformers' `T5PreTrainedModel._init_weights`.
    pub fn init(config: &T5Config, device: &Device) -> Self {
        let wi = || {
            linear(
                config.d_model,
                config.d_ff,
                (config.d_model as f64).powf(-0.5),
                device,
            )
        };
        Self {
            wi_0: wi(),
            wi_1: (config.feed_forward_proj == FeedForwardKind::GatedGelu).then(wi),
            wo: linear(
                config.d_ff,
                config.d_model,
                (config.d_ff as f64).powf(-0.5),
                device,
            ),
        }
    }

    /// The type of numbers that [`forward`](Self::forward) takes.
    pub fn operand_dtype(&self) -> FloatDType {
        fused::operand_dtype(&self.wi_0.weight.val())
    }

    /// `residual` and the network's answer to `x`. All are `[batch, length, d_model]`, `x` in
    /// [`operand_dtype`](Self::operand_dtype), the others in f32.
    pub fn forward(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        stack: StackKind,
        layer: usize,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let dtype = self.operand_dtype();
        let hidden = match &self.wi_1 {
            Some(wi_1) => {
                let weights = [&self.wi_0, wi_1].map(|linear| linear.weight.val());
                for weight in &weights {
                    count(&x, weight, taps);
                }
                fused::gated_gelu_of(x, weights, dtype)
            }
            None => activation::relu(project(&self.wi_0, x, dtype, taps)),
        };
        let hidden = taps.feed_forward(stack, layer, hidden);
        project_onto(residual, &self.wo, hidden, taps)
    }
}

/// A linear layer without bias, normally distributed.
pub(crate) fn linear(input: usize, output: usize, std: f64, device: &Device) -> Linear {
    LinearConfig::new(input, output)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std })
        .init(device)
}
