//! Relative-position biases.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData, module};

use crate::T5Config;
use crate::attention::index;

/// The relative-position bias of a stack (`T5Attention.compute_bias` in transformers).
///
/// Hugging Face stores it in block 0, but it serves the whole stack, whichever blocks are kept; so it
/// belongs to the stack here.
#[derive(Module, Debug)]
pub struct RelativePositionBias {
    /// `[buckets, heads]`.
    pub weight: Param<Tensor<2>>,
    bidirectional: bool,
    max_distance: usize,
}

impl RelativePositionBias {
    /// Random weights. The encoder's bias is bidirectional, the decoder's is not.
    pub fn init(config: &T5Config, bidirectional: bool, device: &Device) -> Self {
        Self {
            weight: Initializer::Normal {
                mean: 0.0,
                std: (config.d_model as f64).powf(-0.5),
            }
            .init(
                [config.relative_attention_num_buckets, config.num_heads],
                device,
            ),
            bidirectional,
            max_distance: config.relative_attention_max_distance,
        }
    }

    /// The bias of `queries` positions that start at `offset`, against the keys `0..keys`:
    /// `[1, heads, queries, keys]`.
    pub fn forward(&self, offset: usize, queries: usize, keys: usize) -> Tensor<4> {
        let weight = self.weight.val();
        let [buckets, heads] = weight.dims();
        let mut index = Vec::with_capacity(queries * keys);
        for query in offset..offset + queries {
            for key in 0..keys {
                index.push(self.bucket(key as i64 - query as i64, buckets as i64) as i32);
            }
        }
        let index = Tensor::<2, Int>::from_data(
            TensorData::new(index, [1, queries * keys]),
            &weight.device(),
        );
        module::embedding(weight, index)
            .reshape([queries, keys, heads])
            .permute([2, 0, 1])
            .unsqueeze::<4>()
    }

    /// Near positions have a bucket each, far ones share logarithmically growing buckets.
    /// f32 arithmetic as in transformers, so that a position on a bucket's edge falls on the same side.
    fn bucket(&self, relative: i64, buckets: i64) -> i64 {
        let (buckets, base, distance) = if self.bidirectional {
            let half = buckets / 2;
            (half, if relative > 0 { half } else { 0 }, relative.abs())
        } else {
            (buckets, 0, (-relative).max(0))
        };
        let exact = buckets / 2;
        if distance < exact {
            return base + distance;
        }
        let scale = (self.max_distance as f64 / exact as f64).ln() as f32;
        let log = (distance as f32 / exact as f32).ln() / scale * (buckets - exact) as f32;
        base + (exact + log as i64).min(buckets - 1)
    }
}

/// What is added to the scores of a stack's self-attentions: position bias and mask, added up once for all
/// layers that keep all heads.
pub(crate) struct SelfBias {
    position: Tensor<4>,
    mask: Option<Tensor<4>>,
    all: Tensor<4>,
}

impl SelfBias {
    /// From a position bias `[1, heads, queries, keys]` and a mask that broadcasts to it.
    pub(crate) fn new(position: Tensor<4>, mask: Option<Tensor<4>>) -> Self {
        let all = add(position.clone(), mask.clone());
        Self {
            position,
            mask,
            all,
        }
    }

    /// The part of these heads, `[batch, heads, queries, keys]`; `None` means all heads.
    pub(crate) fn of(&self, heads: Option<&[usize]>) -> Tensor<4> {
        let Some(heads) = heads else {
            return self.all.clone();
        };
        let index = index(heads, &self.position.device());
        add(self.position.clone().select(1, index), self.mask.clone())
    }
}

fn add(position: Tensor<4>, mask: Option<Tensor<4>>) -> Tensor<4> {
    match mask {
        Some(mask) => position + mask,
        None => position,
    }
}
