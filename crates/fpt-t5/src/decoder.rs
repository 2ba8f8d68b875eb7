//! The decoder stack.

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::cache::LayerCache;
use crate::position::{SelfBias, cross_bias};
use crate::{
    Attention, AttentionBias, AttentionKind, EncoderOutput, FeedForward, KvCache,
    RelativePositionBias, StackKind, T5Config, T5LayerNorm, Taps, fused,
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

/// What a layer keeps, and how many positions are expected.
type OfLayer<'a> = (&'a mut LayerCache, usize);

impl DecoderBlock {
    /// `x`, `[batch, length, d_model]`, with its attention to itself and to what is in `cache`.
    fn attend_to_itself(
        &self,
        x: Tensor<3>,
        bias: AttentionBias,
        cache: Option<&mut OfLayer<'_>>,
        layer: usize,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let attention = &self.attention;
        let place = (StackKind::Decoder, layer, AttentionKind::SelfAttention);
        let normed = self
            .attention_norm
            .forward(x.clone(), attention.operand_dtype());
        let Some((cache, expected)) = cache else {
            let source = normed.clone();
            return attention.forward_to(x, normed, source, bias, place, taps);
        };
        let new = attention.keys_values(normed.clone(), taps);
        let own = cache.append(new, *expected);
        attention.forward(x, normed, own, bias, place, taps)
    }

    /// `x`, `[batch, length, d_model]`, with its attention to the encoder's output, `[batch, keys, d_model]`.
    fn attend_to(
        &self,
        encoded: &Tensor<3>,
        x: Tensor<3>,
        bias: AttentionBias,
        cache: Option<&mut OfLayer<'_>>,
        layer: usize,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let attention = &self.cross_attention;
        let place = (StackKind::Decoder, layer, AttentionKind::CrossAttention);
        let normed = self
            .cross_attention_norm
            .forward(x.clone(), attention.operand_dtype());
        let source = encoded.clone();
        let Some((cache, expected)) = cache else {
            return attention.forward_to(x, normed, source, bias, place, taps);
        };
        let make = || {
            let cross = attention.keys_values(source, taps);
            if *expected > 1 && !fused::is_gpu(&x.device()) {
                cross.by_heads()
            } else {
                cross
            }
        };
        let cross = cache.cross.get_or_insert_with(make).clone();
        attention.forward(x, normed, cross, bias, place, taps)
    }
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
    /// Teacher forcing is one call without a cache; generation is a call per token with the same cache.
    /// The cache belongs to one `encoded`: its cross-attention keys are computed on first use.
    /// In and out in f32, `[batch, length, d_model]`.
    pub fn forward(
        &self,
        embeddings: Tensor<3>,
        encoded: &EncoderOutput,
        cache: Option<&mut KvCache>,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let [_, length, _] = embeddings.dims();
        let before = cache.as_ref().map_or(0, |cache| cache.length());
        let own_bias = SelfBias::decoder(&self.position_bias, before, length);
        self.forward_biased(embeddings, &own_bias, encoded, cache, taps)
    }

    /// [`forward`](Self::forward) where `own_bias` says which positions see which.
    pub(crate) fn forward_biased(
        &self,
        embeddings: Tensor<3>,
        own_bias: &SelfBias,
        encoded: &EncoderOutput,
        cache: Option<&mut KvCache>,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let cross_bias = cross_bias(encoded.mask.clone());
        let mut caches = cache.map(|cache| cache.layers(self.block.len()));
        let mut x = embeddings;
        for (layer, block) in self.block.iter().enumerate() {
            taps.residual(StackKind::Decoder, layer, &x);
            let mut cache = caches
                .as_mut()
                .map(|(caches, expected)| (&mut caches[layer], *expected));
            let bias = own_bias.of(block.attention.kept_heads.as_deref());
            x = block.attend_to_itself(x, bias, cache.as_mut(), layer, taps);
            let bias = cross_bias.clone();
            x = block.attend_to(&encoded.hidden, x, bias, cache.as_mut(), layer, taps);

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
