//! The decoder stack.

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::position::{SelfBias, cross_bias};
use crate::{
    Attention, AttentionKind, EncoderOutput, FeedForward, KvCache, RelativePositionBias, StackKind,
    T5Config, T5LayerNorm, Taps, fused,
};

/// One decoder layer: self-attention, cross-attention and feed-forward network.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    /// Norm before the self-attention.
    pub attention_norm: T5LayerNorm,
    /// Self-attention.
    pub attention: Attention,
    /// Norm before the cross-attention.
    pub cross_attention_norm: T5LayerNorm,
    /// Attention to the encoder's output.
    pub cross_attention: Attention,
    /// Norm before the feed-forward network.
    pub feed_forward_norm: T5LayerNorm,
    /// Feed-forward network.
    pub feed_forward: FeedForward,
}

/// The decoder stack.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Bias shared by all blocks.
    pub position_bias: RelativePositionBias,
    /// The layers.
    pub block: Vec<DecoderBlock>,
    /// Norm of the output.
    pub final_norm: T5LayerNorm,
}

impl Decoder {
    /// Random weights.
    pub fn init(config: &T5Config, device: &Device) -> Self {
        let norm = || T5LayerNorm::init(config.d_model, config.layer_norm_epsilon, device);
        Self {
            position_bias: RelativePositionBias::init(config, false, device),
            block: (0..config.decoder_layers())
                .map(|_| DecoderBlock {
                    attention_norm: norm(),
                    attention: Attention::init(config, device),
                    cross_attention_norm: norm(),
                    cross_attention: Attention::init(config, device),
                    feed_forward_norm: norm(),
                    feed_forward: FeedForward::init(config, device),
                })
                .collect(),
            final_norm: norm(),
        }
    }

    /// Decode `embeddings`, `[batch, length, d_model]`, which follow the positions in `cache`.
    ///
    /// Teacher forcing is one call with an empty cache; generation is a call per token with the same cache.
    /// The cache belongs to one `encoded`: its cross-attention keys are computed on first use.
    /// In and out in f32, `[batch, length, d_model]`.
    pub fn forward(
        &self,
        embeddings: Tensor<3>,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let [_, length, _] = embeddings.dims();
        let own_bias = SelfBias::decoder(&self.position_bias, cache.length(), length);
        self.forward_biased(embeddings, &own_bias, encoded, cache, taps)
    }

    /// [`forward`](Self::forward) where `own_bias` says which positions see which.
    pub(crate) fn forward_biased(
        &self,
        embeddings: Tensor<3>,
        own_bias: &SelfBias,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let cross_bias = cross_bias(encoded.mask.clone());
        let (caches, expected) = cache.layers(self.block.len());
        let mut x = embeddings;
        for (layer, (block, cache)) in self.block.iter().zip(caches).enumerate() {
            taps.residual(StackKind::Decoder, layer, &x);
            let dtype = block.attention.operand_dtype();
            let normed = block.attention_norm.forward(x.clone(), dtype);
            let new = block.attention.keys_values(normed.clone(), taps);
            let own = cache.append(new, expected);
            let place = (StackKind::Decoder, layer, AttentionKind::SelfAttention);
            let bias = own_bias.of(block.attention.kept_heads.as_deref());
            x = block.attention.forward(x, normed, own, bias, place, taps);

            let dtype = block.cross_attention.operand_dtype();
            let normed = block.cross_attention_norm.forward(x.clone(), dtype);
            let cross = cache
                .cross
                .get_or_insert_with(|| {
                    let source = encoded.hidden.clone();
                    let cross = block.cross_attention.keys_values(source, taps);
                    if expected > 1 && !fused::is_gpu(&x.device()) {
                        cross.by_heads()
                    } else {
                        cross
                    }
                })
                .clone();
            let place = (StackKind::Decoder, layer, AttentionKind::CrossAttention);
            x = block
                .cross_attention
                .forward(x, normed, cross, cross_bias.clone(), place, taps);

            let dtype = block.feed_forward.operand_dtype();
            let normed = block.feed_forward_norm.forward(x.clone(), dtype);
            x = block
                .feed_forward
                .forward(x, normed, StackKind::Decoder, layer, taps);
        }
        taps.residual(StackKind::Decoder, self.block.len(), &x);
        self.final_norm.forward(x, FloatDType::F32)
    }
}
