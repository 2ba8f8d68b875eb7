//! Weights and activations in bytes.

use std::num::Saturating;

use super::{BatchShape, n};
use crate::{ModelShape, PartialSize, StackSize};

/// Buckets of the relative-position bias, the same in every T5.
const BUCKETS: usize = 32;
/// Bytes of an `f32`.
const F32: usize = 4;

/// The number of parameters of a partial model: embedding, LM head (where it is a matrix of its
/// own), attention, FFN, norms, and the relative-position bias of each stack. Exact.
pub fn parameters(shape: &ModelShape, size: &PartialSize) -> u64 {
    let d = n(shape.d_model);
    let matrices = n(if shape.gated { 3 } else { 2 });
    // Attentions and norms of a layer; the last norm is the stack's.
    let stack = |stack: &StackSize, attentions: usize| {
        let inner = n(stack.heads) * n(shape.d_kv);
        let layer =
            n(4 * attentions) * d * inner + matrices * d * n(stack.d_ff) + n(attentions + 1) * d;
        n(stack.layers) * layer + d + n(BUCKETS) * n(stack.heads)
    };
    let embeddings = n(if shape.own_head { 2 } else { 1 });
    let total =
        embeddings * n(shape.vocabulary) * d + stack(&size.encoder, 1) + stack(&size.decoder, 2);
    total.0
}

/// Bytes of the weights of a partial model as a model of its own: [`parameters`] of
/// `bytes_per_weight` (4 for `f32`, 2 for `bf16`) each.
pub fn weight_bytes(shape: &ModelShape, size: &PartialSize, bytes_per_weight: usize) -> u64 {
    (Saturating(parameters(shape, size)) * n(bytes_per_weight)).0
}

/// Bytes of the `f32` activations that a training step must keep for its backward; an estimate.
///
/// Counted is what the gradient of an operation needs and what depends on the prompt (see
/// [`true_macs`](super::true_macs)): inputs of norms, queries, keys and values, attention
/// probabilities, FFN pre-activations (both where it is gated), logits. Weights are frozen, so the
/// inputs of linear layers are not needed. With L encoder and T decoder positions, `inner = heads *
/// d_kv`, a row keeps
///
/// | part | values |
/// |---|---|
/// | encoder layer | 2 L·d + 3 L·inner + heads·L² + 2 L·d_ff |
/// | decoder layer, self-attention | T·d + 3 T·inner + heads·T² |
/// | decoder layer, cross-attention | T·d + T·inner + 2 L·inner + heads·T·L |
/// | decoder layer, FFN | T·d + 2 T·d_ff |
/// | norms after the stacks, logits | L·d + T·d + T·vocabulary |
///
/// Of the first decoder layer, self-attention, the norm before cross-attention and the keys of
/// cross-attention need not be kept. A real implementation keeps more (copies, masks, results of
/// element-wise operations) or less (recomputation); the weights and the allocator come on top.
pub fn activation_bytes(shape: &ModelShape, size: &PartialSize, batch: &BatchShape) -> u64 {
    let d = n(shape.d_model);
    let projections = n(if shape.gated { 2 } else { 1 });
    let (length, target) = (n(batch.encoder_length()), n(batch.target));
    let own = |positions: Saturating<u64>, stack: &StackSize| {
        positions * (d + n(3) * n(stack.heads) * n(shape.d_kv))
            + n(stack.heads) * positions * positions
    };
    let ffn = |positions: Saturating<u64>, stack: &StackSize| {
        positions * (d + projections * n(stack.d_ff))
    };

    let encoder = own(length, &size.encoder) + ffn(length, &size.encoder);
    let heads = n(size.decoder.heads);
    let inner = heads * n(shape.d_kv);
    let cross = target * (d + inner) + n(2) * length * inner + heads * target * length;
    let decoder = own(target, &size.decoder) + cross + ffn(target, &size.decoder);
    let unreached = own(target, &size.decoder) + target * d + length * inner;

    let mut row = n(size.encoder.layers) * encoder
        + n(size.decoder.layers) * decoder
        + (length + target) * d
        + target * n(shape.vocabulary);
    if size.decoder.layers > 0 {
        row -= unreached;
    }
    (row * n(batch.rows) * n(F32)).0
}
