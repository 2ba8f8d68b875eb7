//! Looking at activations on their way.

use burn::tensor::Tensor;

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

/// Sees activations during a forward pass. Every method does nothing by default, and gets a reference,
/// so a tap that is not used costs nothing.
pub trait Taps {
    /// The input of `wo` in a feed-forward network, `[batch, length, d_ff]`: `gelu(wi_0 x) * wi_1 x`,
    /// or `relu(wi x)`.
    fn feed_forward(&mut self, stack: StackKind, layer: usize, activation: &Tensor<3>) {
        let _ = (stack, layer, activation);
    }

    /// The outputs of the heads before the output projection, `[batch, heads, length, d_kv]`.
    fn heads(&mut self, stack: StackKind, layer: usize, kind: AttentionKind, heads: &Tensor<4>) {
        let _ = (stack, layer, kind, heads);
    }
}

/// Looks at nothing.
pub struct NoTaps;

impl Taps for NoTaps {}
