//! Additive masks: 0 where attention may look, a large negative number where it may not.

use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Far below any score, yet finite, so that a row without visible keys stays free of NaN.
const HIDDEN: f64 = -1e9;

/// From a padding mask `[batch, keys]` (1 = real token, 0 = padding) to what is added to the scores of these keys.
pub(crate) fn hidden_keys(mask: Tensor<2>) -> Tensor<2> {
    (mask - 1.0) * -HIDDEN
}

/// The same as a mask `[batch, 1, 1, keys]`.
pub(crate) fn padding_mask(mask: Tensor<2>) -> Tensor<4> {
    let [batch, keys] = mask.dims();
    hidden_keys(mask).reshape([batch, 1, 1, keys])
}

/// The mask `[1, 1, length, offset + length]` of a decoder whose `length` positions follow `offset` others: these are
/// visible; of the new ones, only the past is.
pub(crate) fn future_mask(offset: usize, length: usize, device: &Device) -> Tensor<4> {
    let future = Tensor::<2, Bool>::tril_mask([length, length], 0, device);
    let causal = (future.float() * HIDDEN).reshape([1, 1, length, length]);
    match offset {
        0 => causal,
        _ => {
            let visible = Tensor::zeros([1, 1, length, offset], device);
            Tensor::cat(vec![visible, causal], 3)
        }
    }
}

/// The mask `[batch, 1, queries, keys]` of queries that each see the keys in its list in `visible`, row by row.
pub(crate) fn listed_mask(
    visible: &[Vec<usize>],
    batch: usize,
    keys: usize,
    device: &Device,
) -> Tensor<4> {
    let mut mask = vec![HIDDEN as f32; visible.len() * keys];
    for (mask, visible) in mask.chunks_exact_mut(keys.max(1)).zip(visible) {
        for &key in visible {
            mask[key] = 0.0;
        }
    }
    let queries = visible.len().checked_div(batch).unwrap_or_default();
    Tensor::from_data(TensorData::new(mask, [batch, 1, queries, keys]), device)
}

/// [`future_mask`] by distance, `[queries + keys - 1]`: what is added to the score of query `i`, the `i`-th of the last
/// `queries` positions, and key `k` at `queries - 1 - i + k`.
pub(crate) fn hidden_distances(queries: usize, keys: usize) -> Vec<f32> {
    let visible = |place| place < keys;
    (0..(queries + keys).saturating_sub(1))
        .map(|place| if visible(place) { 0.0 } else { HIDDEN as f32 })
        .collect()
}

/// `mask` with `count` real positions put before it, as for a prompt: `[batch, count + keys]`.
pub fn prepend_visible(mask: Tensor<2>, count: usize) -> Tensor<2> {
    let [batch, _] = mask.dims();
    let ones = Tensor::<2>::ones([batch, count], &mask.device());
    Tensor::cat(vec![ones, mask], 1)
}
