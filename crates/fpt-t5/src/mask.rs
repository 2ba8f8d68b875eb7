//! Additive masks: 0 where attention may look, a large negative number where it may not.

use burn::tensor::{Bool, Device, Tensor};

/// Far below any score, yet finite, so that a row without visible keys stays free of NaN.
const HIDDEN: f64 = -1e9;

/// From a padding mask `[batch, keys]` (1 = real token, 0 = padding) to an additive mask
/// `[batch, 1, 1, keys]`.
pub(crate) fn padding_mask(mask: Tensor<2>) -> Tensor<4> {
    let [batch, keys] = mask.dims();
    ((mask - 1.0) * -HIDDEN).reshape([batch, 1, 1, keys])
}

/// The additive mask `[1, 1, length, length]` that hides the future from a decoder.
pub(crate) fn causal_mask(length: usize, device: &Device) -> Tensor<4> {
    let future = Tensor::<2, Bool>::tril_mask([length, length], 0, device);
    (future.float() * HIDDEN).reshape([1, 1, length, length])
}

/// `mask` with `count` real positions put before it, as for a prompt: `[batch, count + keys]`.
pub fn prepend_visible(mask: Tensor<2>, count: usize) -> Tensor<2> {
    let [batch, _] = mask.dims();
    let ones = Tensor::<2>::ones([batch, count], &mask.device());
    Tensor::cat(vec![ones, mask], 1)
}
