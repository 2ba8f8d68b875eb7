//! Looking at activations on their way.

use burn::nn::Linear;
use burn::tensor::{FloatDType, Tensor};

use crate::fused;

/// Which half of the model a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackKind {
    /// The encoder.
    Encoder,
    /// The decoder.
    Decoder,
}

/// Which attention of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionKind {
    /// Attention of a stack to itself.
    SelfAttention,
    /// Attention of the decoder to the encoder's output.
    CrossAttention,
}

/// Sees activations during a forward pass, and may replace some of them. Every method hands through what it
/// gets by default, so a tap that is not used costs nothing.
pub trait Taps {
    /// The input of `wo` in a feed-forward network, `[batch, length, d_ff]`: `gelu(wi_0 x) * wi_1 x`,
    /// or `relu(wi x)`. Here and in [`heads`](Taps::heads), numbers have the type of products: bf16 where weights have
    /// it, except on a processor.
    fn feed_forward(&mut self, stack: StackKind, layer: usize, activation: Tensor<3>) -> Tensor<3> {
        let _ = (stack, layer);
        activation
    }

    /// The outputs of the heads before the output projection, `[batch, length, heads, d_kv]`.
    fn heads(
        &mut self,
        stack: StackKind,
        layer: usize,
        kind: AttentionKind,
        heads: Tensor<4>,
    ) -> Tensor<4> {
        let _ = (stack, layer, kind);
        heads
    }

    /// The residual stream, `[batch, length, d_model]`, as it enters a layer; once more, with the number of
    /// layers as `layer`, as it leaves the last one.
    fn residual(&mut self, stack: StackKind, layer: usize, x: &Tensor<3>) {
        let _ = (stack, layer, x);
    }

    /// A matrix product of so many multiply-accumulates is computed.
    fn multiplied(&mut self, macs: u64) {
        let _ = macs;
    }
}

/// Looks at nothing.
pub struct NoTaps;

impl Taps for NoTaps {}

/// Counts the multiply-accumulates of all matrix products that are really computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacCounter {
    /// So far.
    pub macs: u64,
}

impl Taps for MacCounter {
    fn multiplied(&mut self, macs: u64) {
        self.macs += macs;
    }
}

/// `linear` of `x`, counted, as numbers of type `dtype`.
pub(crate) fn project(
    linear: &Linear,
    x: Tensor<3>,
    dtype: FloatDType,
    taps: &mut dyn Taps,
) -> Tensor<3> {
    product(x, linear.weight.val(), dtype, taps)
}

/// `residual` and `linear` of `x`, counted, in f32.
pub(crate) fn project_onto(
    residual: Tensor<3>,
    linear: &Linear,
    x: Tensor<3>,
    taps: &mut dyn Taps,
) -> Tensor<3> {
    let weight = linear.weight.val();
    count(&x, &weight, taps);
    fused::linear_onto(residual, x, weight)
}

/// The matrix product of `x`, `[batch, length, in]`, and `weight`, `[in, out]`, counted, as numbers of type `dtype`.
pub(crate) fn product(
    x: Tensor<3>,
    weight: Tensor<2>,
    dtype: FloatDType,
    taps: &mut dyn Taps,
) -> Tensor<3> {
    count(&x, &weight, taps);
    fused::linear(x, weight, dtype)
}

/// Tell of the product of `x`, `[batch, length, in]`, and `weight`, `[in, out]`.
pub(crate) fn count(x: &Tensor<3>, weight: &Tensor<2>, taps: &mut dyn Taps) {
    let [_, d_out] = weight.dims();
    taps.multiplied((x.shape().num_elements() * d_out) as u64);
}
