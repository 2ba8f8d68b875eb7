//! The encoder stack.

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::position::SelfBias;
use crate::{
    Attention, AttentionKind, FeedForward, RelativePositionBias, StackKind, T5Config, T5LayerNorm,
    Taps,
};

/// One encoder layer: self-attention and feed-forward network, each on a normalised input and added to it.
#[derive(Module, Debug)]
pub struct EncoderBlock {
    /// Norm before the attention.
    pub attention_norm: T5LayerNorm,
    /// Self-attention.
    pub attention: Attention,
    /// Norm before the feed-forward network.
    pub feed_forward_norm: T5LayerNorm,
    /// Feed-forward network.
    pub feed_forward: FeedForward,
}

/// The encoder stack.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Bias shared by all blocks.
    pub position_bias: RelativePositionBias,
    /// The layers.
    pub block: Vec<EncoderBlock>,
    /// Norm of the output.
    pub final_norm: T5LayerNorm,
}

impl EncoderBlock {
    /// `x`, `[batch, length, d_model]`, with what attention and feed-forward network add to it, as layer number `layer`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        bias: &SelfBias,
        layer: usize,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        taps.residual(StackKind::Encoder, layer, &x);
        let dtype = self.attention.operand_dtype();
        let normed = self.attention_norm.forward(x.clone(), dtype);
        let place = (StackKind::Encoder, layer, AttentionKind::SelfAttention);
        let bias = bias.of(self.attention.kept_heads.as_deref());
        let source = normed.clone();
        let x = self
            .attention
            .forward_to(x, normed, source, bias, place, taps);
        let dtype = self.feed_forward.operand_dtype();
        let normed = self.feed_forward_norm.forward(x.clone(), dtype);
        let (stack, network) = (StackKind::Encoder, &self.feed_forward);
        network.forward(x, normed, stack, layer, taps)
    }
}

impl Encoder {
    /// Random weights.
    pub fn init(config: &T5Config, device: &Device) -> Self {
        let norm = || T5LayerNorm::init(config.d_model, config.layer_norm_epsilon, device);
        Self {
            position_bias: RelativePositionBias::init(config, true, device),
            block: (0..config.num_layers)
                .map(|_| EncoderBlock {
                    attention_norm: norm(),
                    attention: Attention::init(config, device),
                    feed_forward_norm: norm(),
                    feed_forward: FeedForward::init(config, device),
                })
                .collect(),
            final_norm: norm(),
        }
    }

    /// Encode `embeddings`, `[batch, length, d_model]`, whose padding is marked by zeros in `mask`,
    /// `[batch, length]`. In and out in f32, `[batch, length, d_model]`; rows of padding hold no meaning.
    pub fn forward(
        &self,
        embeddings: Tensor<3>,
        mask: Tensor<2>,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let bias = SelfBias::encoder(&self.position_bias, mask);
        let mut x = embeddings;
        for (layer, block) in self.block.iter().enumerate() {
            x = block.forward(x, &bias, layer, taps);
        }
        taps.residual(StackKind::Encoder, self.block.len(), &x);
        self.final_norm.forward(x, FloatDType::F32)
    }
}
