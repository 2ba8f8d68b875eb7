//! How large models are, and how much of them a partial one keeps.

use serde::{Deserialize, Serialize};

/// What a stack (encoder or decoder) has, or keeps, of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackSize {
    /// Layers.
    pub layers: usize,
    /// FFN neurons of every layer.
    pub d_ff: usize,
    /// Attention heads of every layer, each of width `d_kv`.
    pub heads: usize,
}

/// The size of a partial model, or of the full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialSize {
    /// What the encoder keeps.
    pub encoder: StackSize,
    /// What the decoder keeps.
    pub decoder: StackSize,
}

/// The dimensions of a full T5 that matter for schedules and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head; `heads * d_kv` need not equal `d_model`.
    pub d_kv: usize,
    /// FFN neurons of every layer.
    pub d_ff: usize,
    /// Attention heads of every layer.
    pub heads: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Whether the FFN is gated (two input matrices: T5 v1.1) or not (one: the original T5).
    pub gated: bool,
    /// Whether the LM head is a matrix of its own (T5 v1.1) or the embedding (the original T5).
    pub own_head: bool,
}

/// Which stacks a partial model reduces. The paper reduces only the encoder for MNLI and QQP,
/// whose targets are a few tokens, and both stacks otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The decoder stays whole.
    Encoder,
    /// Encoder and decoder.
    Both,
}

impl ModelShape {
    /// T5-Large v1.1, also LM-adapted.
    pub const T5_LARGE: Self = Self {
        d_model: 1024,
        d_kv: 64,
        d_ff: 2816,
        heads: 16,
        encoder_layers: 24,
        decoder_layers: 24,
        vocabulary: 32128,
        gated: true,
        own_head: true,
    };
    /// T5-XL v1.1, also LM-adapted.
    pub const T5_XL: Self = Self {
        d_model: 2048,
        d_kv: 64,
        d_ff: 5120,
        heads: 32,
        ..Self::T5_LARGE
    };

    /// All of the model.
    pub fn full(&self) -> PartialSize {
        let stack = |layers| StackSize {
            layers,
            d_ff: self.d_ff,
            heads: self.heads,
        };
        PartialSize {
            encoder: stack(self.encoder_layers),
            decoder: stack(self.decoder_layers),
        }
    }
}

/// One dimension in which a model is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Layers,
    DFf,
    Heads,
}

impl Dimension {
    pub(crate) const ALL: [Self; 3] = [Self::Layers, Self::DFf, Self::Heads];

    /// The key of a size.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::DFf => "d_ff",
            Self::Heads => "heads",
        }
    }
}

impl StackSize {
    pub(crate) const fn get(&self, dimension: Dimension) -> usize {
        match dimension {
            Dimension::Layers => self.layers,
            Dimension::DFf => self.d_ff,
            Dimension::Heads => self.heads,
        }
    }
}
