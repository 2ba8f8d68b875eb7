//! Relative-position biases.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData, module};

use crate::attention::index;
use crate::mask::{future_mask, hidden_distances, hidden_keys, listed_mask, padding_mask};
use crate::{AttentionBias, T5Config};

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
        let [_, heads] = weight.dims();
        let buckets = self.buckets(offset, queries, keys);
        let index: Vec<i32> = (0..queries)
            .flat_map(|query| &buckets[queries - 1 - query..][..keys])
            .copied()
            .collect();
        let index = Tensor::<2, Int>::from_data(
            TensorData::new(index, [1, queries * keys]),
            &weight.device(),
        );
        module::embedding(weight, index)
            .reshape([queries, keys, heads])
            .permute([2, 0, 1])
            .unsqueeze::<4>()
    }

    /// The same by distance, `[heads, queries + keys - 1]`: that of query `i` and key `k` is at `queries - 1 - i + k`.
    pub fn by_distance(&self, offset: usize, queries: usize, keys: usize) -> Tensor<2> {
        let weight = self.weight.val();
        let buckets = self.buckets(offset, queries, keys);
        let index = Tensor::<1, Int>::from_data(buckets.as_slice(), &weight.device());
        weight.transpose().select(1, index)
    }

    /// The bias of queries at position `query` against keys at the positions `keys`: `[1, heads, 1, keys]`.
    fn against(&self, query: usize, keys: &[usize]) -> Tensor<4> {
        let weight = self.weight.val();
        let [buckets, _] = weight.dims();
        let bucket = |&key: &usize| self.bucket(key as i64 - query as i64, buckets as i64) as i32;
        let index: Vec<i32> = keys.iter().map(bucket).collect();
        let index = Tensor::<1, Int>::from_data(index.as_slice(), &weight.device());
        let [_, heads] = weight.dims();
        let bias = weight.select(0, index).transpose();
        bias.reshape([1, heads, 1, keys.len()])
    }

    /// The bucket of each distance, from key 0 and the last query to the last key and query `offset`.
    fn buckets(&self, offset: usize, queries: usize, keys: usize) -> Vec<i32> {
        let [buckets, _] = self.weight.dims();
        let least = 1 - (offset + queries) as i64;
        (0..(queries + keys).saturating_sub(1) as i64)
            .map(|place| self.bucket(least + place, buckets as i64) as i32)
            .collect()
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

/// What is added to the scores of a stack's self-attentions.
#[allow(
    clippy::large_enum_variant,
    reason = "there are one or two in a forward pass"
)]
pub(crate) enum SelfBias {
    /// Position bias and mask, and their sum, added up once for all layers that keep all heads.
    Whole {
        position: Tensor<4>,
        mask: Option<Tensor<4>>,
        all: Tensor<4>,
    },
    /// See [`AttentionBias::Parts`].
    Parts {
        by_distance: Tensor<2>,
        hidden: Option<Tensor<2>>,
    },
}

impl SelfBias {
    /// Of positions that see each other where they are real: 1 in `mask`, `[batch, length]`.
    pub(crate) fn encoder(position: &RelativePositionBias, mask: Tensor<2>) -> Self {
        let [_, length] = mask.dims();
        if in_parts(position) {
            return Self::Parts {
                by_distance: position.by_distance(0, length, length),
                hidden: Some(hidden_keys(mask)),
            };
        }
        Self::whole(
            position.forward(0, length, length),
            Some(padding_mask(mask)),
        )
    }

    /// Of `length` positions that follow `offset` others, and see those and what is before them.
    pub(crate) fn decoder(position: &RelativePositionBias, offset: usize, length: usize) -> Self {
        let keys = offset + length;
        let device = position.weight.device();
        if in_parts(position) {
            let mut by_distance = position.by_distance(offset, length, keys);
            if length > 1 {
                let future = hidden_distances(length, keys);
                let future = Tensor::<1>::from_data(future.as_slice(), &device.inner());
                by_distance = by_distance + future.unsqueeze();
            }
            return Self::Parts {
                by_distance,
                hidden: None,
            };
        }
        let mask = (length > 1).then(|| future_mask(offset, length, &device.inner()));
        Self::whole(position.forward(offset, length, keys), mask)
    }

    /// Of hypotheses about each row of a batch, which all stand at the last of the positions of `keys`: each sees the
    /// keys in its list in `visible`, row by row.
    pub(crate) fn hypotheses(
        position: &RelativePositionBias,
        keys: &[usize],
        visible: &[Vec<usize>],
        batch: usize,
    ) -> Self {
        let query = keys.last().copied().unwrap_or_default();
        let device = position.weight.device().inner();
        let mask = listed_mask(visible, batch, keys.len(), &device);
        Self::whole(position.against(query, keys), Some(mask))
    }

    fn whole(position: Tensor<4>, mask: Option<Tensor<4>>) -> Self {
        let all = add(position.clone(), mask.clone());
        Self::Whole {
            position,
            mask,
            all,
        }
    }

    /// That of these heads; `None` means all.
    pub(crate) fn of(&self, heads: Option<&[usize]>) -> AttentionBias {
        match (self, heads) {
            (Self::Whole { all, .. }, None) => AttentionBias::Whole(all.clone()),
            (Self::Whole { position, mask, .. }, Some(heads)) => {
                let index = index(heads, &position.device());
                let position = position.clone().select(1, index);
                AttentionBias::Whole(add(position, mask.clone()))
            }
            (
                Self::Parts {
                    by_distance,
                    hidden,
                },
                heads,
            ) => {
                let by_distance = by_distance.clone();
                let by_distance = match heads {
                    None => by_distance,
                    Some(heads) => {
                        let index = index(heads, &by_distance.device());
                        by_distance.select(0, index)
                    }
                };
                AttentionBias::Parts {
                    by_distance: Some(by_distance),
                    hidden: hidden.clone(),
                }
            }
        }
    }
}

/// What is added to the scores of attentions to positions that are real where `mask`, `[batch, keys]`, is 1.
pub(crate) fn cross_bias(mask: Tensor<2>) -> AttentionBias {
    AttentionBias::Parts {
        by_distance: None,
        hidden: Some(hidden_keys(mask)),
    }
}

/// Whether the bias is given in parts: one as large as the scores would be the largest tensor of a step that keeps no
/// probabilities. Parts have no gradients, so not where it is trained.
fn in_parts(position: &RelativePositionBias) -> bool {
    !position.weight.val().is_require_grad()
}

fn add(position: Tensor<4>, mask: Option<Tensor<4>>) -> Tensor<4> {
    match mask {
        Some(mask) => position + mask,
        None => position,
    }
}
