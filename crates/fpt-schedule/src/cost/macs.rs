//! The true count: every matrix product of a training step.

use std::num::Saturating;
use std::ops::{Add, Mul};

use serde::{Deserialize, Serialize};

use super::{BatchShape, n};
use crate::{ModelShape, PartialSize, Schedule, StackSize};

/// Multiply-accumulates of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Macs {
    /// From the embeddings to the logits.
    pub forward: u64,
    /// From the logits to the prompt.
    pub backward: u64,
}

impl Macs {
    /// Forward and backward.
    pub const fn total(self) -> u64 {
        self.forward.saturating_add(self.backward)
    }
}

/// Multiply-accumulates of one training step of prompt tuning.
///
/// # Forward, per row
/// With L encoder positions (prompt and source), T decoder positions, `inner = heads * d_kv`, and
/// 3 FFN matrices (2 where it is not gated):
///
/// | part | multiply-accumulates |
/// |---|---|
/// | self-attention of P positions | 4 P·d·inner for q, k, v, o; 2 P²·inner for QKᵀ and PV |
/// | cross-attention | 2 T·d·inner for q, o; 2 L·d·inner for k, v; 2 T·L·inner for QKᵀ and PV |
/// | FFN of P positions | 3 P·d·d_ff |
/// | LM head | T·d·vocabulary |
///
/// # Backward
/// The model is frozen, so gradients flow only through activations to the prompt, and a product
/// costs its forward once for each operand that depends on the prompt. A linear layer has one such
/// operand, its input, as its weight gets no gradient: once. QKᵀ and PV have two: twice. The prompt
/// is an input of the encoder, so all of the encoder depends on it. The decoder's input does not:
/// it meets the prompt in the cross-attention of its first layer. Before that, its self-attention
/// and the query projection cost nothing, and of QKᵀ only the keys get a gradient: once.
///
/// Without a prompt there is nothing to train, and the backward is 0.
pub fn true_macs(shape: &ModelShape, size: &PartialSize, batch: &BatchShape) -> Macs {
    let length = n(batch.encoder_length());
    let target = n(batch.target);
    let d = n(shape.d_model);

    let encoder = Stack::new(shape, &size.encoder);
    let encoder_layer = encoder.self_attention(length) + encoder.ffn(length);

    let decoder = Stack::new(shape, &size.decoder);
    let own = decoder.self_attention(target);
    let query = Count::linear(target * d * decoder.inner);
    let scores = Count::attention(target * length * decoder.inner);
    let decoder_layer = own
        + query
        + scores
        + Count::attention(target * length * decoder.inner)
        + Count::linear(length * d * decoder.inner) * n(2)
        + Count::linear(target * d * decoder.inner)
        + decoder.ffn(target);
    let unreached = own.backward + query.backward + scores.forward;

    let mut row = encoder_layer * n(size.encoder.layers)
        + decoder_layer * n(size.decoder.layers)
        + Count::linear(target * d * n(shape.vocabulary));
    if size.decoder.layers > 0 {
        row.backward -= unreached;
    }
    if batch.prompt == 0 {
        row.backward = n(0);
    }
    let step = row * n(batch.rows);
    Macs {
        forward: step.forward.0,
        backward: step.backward.0,
    }
}

/// The true count for a schedule on batches of this shape, as a share of training the full model
/// for as many steps. Stages make their batches smaller and cut the sources as they say.
pub fn true_share(shape: &ModelShape, schedule: &Schedule, batch: &BatchShape) -> f64 {
    // Rows only multiply; counted one by one, no count is too large for its integer.
    let of_rows = |size: &PartialSize, batch: BatchShape| {
        let row = BatchShape { rows: 1, ..batch };
        batch.rows as f64 * true_macs(shape, size, &row).total() as f64
    };
    let full = of_rows(&shape.full(), *batch);
    let stages = schedule.stages().iter();
    let stages =
        stages.map(|stage| stage.steps as f64 * of_rows(&stage.size, batch.of_stage(stage)));
    stages.sum::<f64>() / (schedule.steps() as f64 * full)
}

/// Multiply-accumulates of a part of the model.
#[derive(Clone, Copy)]
struct Count {
    forward: Saturating<u64>,
    backward: Saturating<u64>,
}

impl Count {
    /// The weight gets no gradient.
    const fn linear(forward: Saturating<u64>) -> Self {
        Self {
            forward,
            backward: forward,
        }
    }

    /// Both operands get gradients.
    fn attention(forward: Saturating<u64>) -> Self {
        Self {
            forward,
            backward: n(2) * forward,
        }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            forward: self.forward + other.forward,
            backward: self.backward + other.backward,
        }
    }
}

impl Mul<Saturating<u64>> for Count {
    type Output = Self;

    fn mul(self, times: Saturating<u64>) -> Self {
        Self {
            forward: self.forward * times,
            backward: self.backward * times,
        }
    }
}

/// The widths of a stack.
struct Stack {
    d_model: Saturating<u64>,
    inner: Saturating<u64>,
    d_ff: Saturating<u64>,
    matrices: Saturating<u64>,
}

impl Stack {
    fn new(shape: &ModelShape, size: &StackSize) -> Self {
        Self {
            d_model: n(shape.d_model),
            inner: n(size.heads) * n(shape.d_kv),
            d_ff: n(size.d_ff),
            matrices: n(if shape.gated { 3 } else { 2 }),
        }
    }

    fn self_attention(&self, positions: Saturating<u64>) -> Count {
        Count::linear(positions * self.d_model * self.inner) * n(4)
            + Count::attention(positions * positions * self.inner) * n(2)
    }

    fn ffn(&self, positions: Saturating<u64>) -> Count {
        Count::linear(positions * self.d_model * self.d_ff) * self.matrices
    }
}
