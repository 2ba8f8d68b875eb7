//! Weights on the device.

use std::num::Saturating;

use super::Numbers;
use crate::cost::{n, parameters};
use crate::{ModelShape, PartialSize, StackSize};

const F32: usize = 4;

/// Bytes of the full model; norms and position biases are f32 whatever the matrices are.
pub(super) fn full(shape: &ModelShape, numbers: Numbers) -> u64 {
    let layers = n(2) * n(shape.encoder_layers) + n(3) * n(shape.decoder_layers);
    let small = (layers + n(2)) * n(shape.d_model) + n(2 * 32) * n(shape.heads);
    let all = Saturating(parameters(shape, &shape.full()));
    ((all - small) * n(numbers.bytes()) + small * n(F32)).0
}

/// Bytes of the matrices that a partial model has lost rows or columns of. Those that it keeps whole are the full
/// model's own.
pub(super) fn copies(shape: &ModelShape, size: &PartialSize, numbers: Numbers) -> u64 {
    let d = n(shape.d_model);
    let stack = |stack: &StackSize, attentions: usize| {
        let mut layer = n(0);
        if stack.d_ff < shape.d_ff {
            layer += n(if shape.gated { 3 } else { 2 }) * d * n(stack.d_ff);
        }
        if stack.heads < shape.heads {
            layer += n(4 * attentions) * d * n(stack.heads) * n(shape.d_kv);
        }
        n(stack.layers) * layer
    };
    let values = stack(&size.encoder, 1) + stack(&size.decoder, 2);
    (values * n(numbers.bytes())).0
}
