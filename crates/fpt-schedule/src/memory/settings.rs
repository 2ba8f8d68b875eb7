//! What decides how much memory a step takes, besides model and batch.

use serde::{Deserialize, Serialize};

/// What a backward pass computes again instead of having kept it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Nothing.
    #[default]
    None,
    /// The probabilities of attentions.
    Attention,
    /// All of an encoder layer but its input.
    Layers,
}

/// The numbers that weights are stored as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits. On a GPU the activations of products are bf16, too; a processor computes in f32.
    Bf16,
    /// 8 bits, and the scales of blocks. On a processor, which computes in f32 but for products.
    Int8,
}

/// Where activations lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Activations in f32, scores for the time of some rows of a head.
    #[default]
    Processor,
    /// Activations of products in the numbers of the weights, scores in f32 for the time of a layer.
    Gpu,
}

/// How a step is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSettings {
    /// The numbers of the weights.
    pub precision: Numbers,
    /// What is computed again.
    pub recompute: Recompute,
    /// Into how many parts a batch is divided, one computed after the other; at least 1.
    pub accumulate: usize,
    /// Where activations lie.
    pub layout: Layout,
}

impl Default for StepSettings {
    fn default() -> Self {
        Self {
            precision: Numbers::F32,
            recompute: Recompute::None,
            accumulate: 1,
            layout: Layout::Processor,
        }
    }
}

impl Numbers {
    /// Bytes of a number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }
}

impl StepSettings {
    /// Bytes of an activation that a product takes or gives.
    pub(super) const fn operand_bytes(&self) -> usize {
        match self.layout {
            Layout::Processor => 4,
            Layout::Gpu => self.precision.bytes(),
        }
    }

    /// Rows that are computed at once of a batch of `rows`.
    pub(super) const fn rows_at_once(&self, rows: usize) -> usize {
        match self.accumulate {
            0 | 1 => rows,
            parts => rows.div_ceil(parts),
        }
    }
}
