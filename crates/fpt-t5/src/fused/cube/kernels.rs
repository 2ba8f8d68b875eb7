//! Kernels in CubeCL: one source for CUDA and WGPU.
//!
//! A cube (a block of units) takes a row at a time, its units every `units`-th number of it. Numbers are read and
//! written in the tensors' types; sums are in f32 whatever these are.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::super::portable::{CUBIC, TWICE_SQRT_2_OVER_PI};

/// The sum of each unit's `value` over the cube. In shared memory, so that it needs no plane operations, which not
/// every device has; `units` must be a power of two.
#[cube]
fn cube_sum(value: f32, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS_X as usize;
    let mut partial = Shared::<[f32]>::new_slice(units);
    partial[unit] = value;
    sync_cube();
    let steps = comptime!(units.ilog2());
    #[unroll]
    for step in 0..steps {
        let half = comptime!(units >> (step + 1));
        if unit < half {
            let other = partial[unit + half];
            partial[unit] += other;
        }
        sync_cube();
    }
    partial[0]
}

/// The largest of the units' values; see [`cube_sum`].
#[cube]
fn cube_max(value: f32, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS_X as usize;
    let mut partial = Shared::<[f32]>::new_slice(units);
    partial[unit] = value;
    sync_cube();
    let steps = comptime!(units.ilog2());
    #[unroll]
    for step in 0..steps {
        let half = comptime!(units >> (step + 1));
        if unit < half {
            let other = partial[unit + half];
            let own = partial[unit];
            if other > own {
                partial[unit] = other;
            }
        }
        sync_cube();
    }
    partial[0]
}

/// `1 / rms` of the row that starts at `start`.
#[cube]
fn reciprocal_rms<F: Float>(
    x: &Tensor<F>,
    start: usize,
    epsilon: f32,
    #[comptime] width: usize,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = f32::new(0.0);
    let mut i = UNIT_POS_X as usize;
    while i < width {
        let value = f32::cast_from(x[start + i]);
        sum += value * value;
        i += units;
    }
    let mean = cube_sum(sum, units) / (width as f32);
    1.0f32 / (mean + epsilon).sqrt()
}

/// Rows of `x / rms(x) · weight`.
#[cube(launch)]
pub(super) fn rms_norm<F: Float, G: Float>(
    x: &Tensor<F>,
    weight: &Tensor<f32>,
    out: &mut Tensor<G>,
    epsilon: f32,
    rows: usize,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F, G)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * width;
        let r = reciprocal_rms(x, start, epsilon, width, units);
        let mut i = UNIT_POS_X as usize;
        while i < width {
            out[start + i] = G::cast_from(f32::cast_from(x[start + i]) * r * weight[i]);
            i += units;
        }
    }
}

/// Rows of the gradient of `x`: `r · (g·w - x · r² · mean(g·w·x))`.
#[cube(launch)]
pub(super) fn rms_norm_backward<F: Float, G: Float>(
    x: &Tensor<F>,
    weight: &Tensor<f32>,
    gradient: &Tensor<G>,
    out: &mut Tensor<F>,
    epsilon: f32,
    rows: usize,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F, G)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * width;
        let r = reciprocal_rms(x, start, epsilon, width, units);
        let mut sum = f32::new(0.0);
        let mut i = UNIT_POS_X as usize;
        while i < width {
            sum += f32::cast_from(gradient[start + i]) * weight[i] * f32::cast_from(x[start + i]);
            i += units;
        }
        let k = cube_sum(sum, units) / (width as f32) * r * r;
        let mut i = UNIT_POS_X as usize;
        while i < width {
            let weighted = f32::cast_from(gradient[start + i]) * weight[i];
            out[start + i] = F::cast_from(r * (weighted - f32::cast_from(x[start + i]) * k));
            i += units;
        }
    }
}

/// `sigmoid(2u)` of the tanh form of GELU, which is `x` times this.
#[cube]
fn gelu_sigmoid(x: f32) -> f32 {
    let u = x * (1.0f32 + comptime!(CUBIC as f32) * x * x) * comptime!(TWICE_SQRT_2_OVER_PI as f32);
    1.0f32 / (1.0f32 + (-u).exp())
}

/// `gelu(gate) · value`.
#[cube(launch)]
pub(super) fn gated_gelu<F: Float>(
    gate: &Tensor<F>,
    value: &Tensor<F>,
    out: &mut Tensor<F>,
    count: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let x = f32::cast_from(gate[ABSOLUTE_POS]);
        let y = x * gelu_sigmoid(x);
        out[ABSOLUTE_POS] = F::cast_from(y * f32::cast_from(value[ABSOLUTE_POS]));
    }
}

/// Gradients of `gate` and `value`.
#[cube(launch)]
pub(super) fn gated_gelu_backward<F: Float>(
    gate: &Tensor<F>,
    value: &Tensor<F>,
    gradient: &Tensor<F>,
    d_gate: &mut Tensor<F>,
    d_value: &mut Tensor<F>,
    count: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < count {
        let x = f32::cast_from(gate[ABSOLUTE_POS]);
        let g = f32::cast_from(gradient[ABSOLUTE_POS]);
        let s = gelu_sigmoid(x);
        let slope = (1.0f32 + comptime!(3.0 * CUBIC as f32) * x * x)
            * comptime!(TWICE_SQRT_2_OVER_PI as f32);
        let derivative = s + x * s * (1.0f32 - s) * slope;
        d_gate[ABSOLUTE_POS] = F::cast_from(g * f32::cast_from(value[ABSOLUTE_POS]) * derivative);
        d_value[ABSOLUTE_POS] = F::cast_from(g * x * s);
    }
}

/// The bias of a score: that of the distance between query and key, if there is a position bias, and that of a key
/// which is hidden, if some are.
#[cube]
fn score_bias(
    by_distance: &Tensor<f32>,
    hidden: &Tensor<f32>,
    distances: usize,
    row_of_keys: usize,
    key: usize,
    #[comptime] position: bool,
    #[comptime] padding: bool,
) -> f32 {
    let mut bias = f32::new(0.0);
    if comptime!(position) {
        bias += by_distance[distances + key];
    }
    if comptime!(padding) {
        bias += hidden[row_of_keys + key];
    }
    bias
}

/// Rows of `softmax(scores + bias)`: `scores` `[batch, heads, queries, keys]`, `by_distance`
/// `[heads, queries + keys - 1]`, `hidden` `[batch, keys]`.
#[cube(launch)]
pub(super) fn biased_softmax<F: Float, G: Float>(
    scores: &Tensor<F>,
    by_distance: &Tensor<f32>,
    hidden: &Tensor<f32>,
    out: &mut Tensor<G>,
    rows: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    #[comptime] units: usize,
    #[comptime] position: bool,
    #[comptime] padding: bool,
    #[define(F, G)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * keys;
        let query = row % queries;
        let head = (row / queries) % heads;
        let row_of_keys = row / (queries * heads) * keys;
        // Key 0 of the last query is at the least distance, key `keys - 1` of the first at the largest.
        let distances = head * (queries + keys - 1) + queries - 1 - query;

        let mut top = f32::new(-3.0e38);
        let mut i = UNIT_POS_X as usize;
        while i < keys {
            let bias = score_bias(
                by_distance,
                hidden,
                distances,
                row_of_keys,
                i,
                position,
                padding,
            );
            let score = f32::cast_from(scores[start + i]) + bias;
            if score > top {
                top = score;
            }
            i += units;
        }
        let top = cube_max(top, units);

        let mut sum = f32::new(0.0);
        let mut i = UNIT_POS_X as usize;
        while i < keys {
            let bias = score_bias(
                by_distance,
                hidden,
                distances,
                row_of_keys,
                i,
                position,
                padding,
            );
            sum += (f32::cast_from(scores[start + i]) + bias - top).exp();
            i += units;
        }
        let scale = 1.0f32 / cube_sum(sum, units);

        let mut i = UNIT_POS_X as usize;
        while i < keys {
            let bias = score_bias(
                by_distance,
                hidden,
                distances,
                row_of_keys,
                i,
                position,
                padding,
            );
            let exp = (f32::cast_from(scores[start + i]) + bias - top).exp();
            out[start + i] = G::cast_from(exp * scale);
            i += units;
        }
    }
}

/// Rows of `p · (dp - Σ p·dp)`.
#[cube(launch)]
pub(super) fn softmax_backward<F: Float, G: Float>(
    probabilities: &Tensor<G>,
    gradient: &Tensor<F>,
    out: &mut Tensor<G>,
    rows: usize,
    keys: usize,
    #[comptime] units: usize,
    #[define(F, G)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * keys;
        let mut sum = f32::new(0.0);
        let mut i = UNIT_POS_X as usize;
        while i < keys {
            sum += f32::cast_from(probabilities[start + i]) * f32::cast_from(gradient[start + i]);
            i += units;
        }
        let sum = cube_sum(sum, units);
        let mut i = UNIT_POS_X as usize;
        while i < keys {
            let p = f32::cast_from(probabilities[start + i]);
            out[start + i] = G::cast_from(p * (f32::cast_from(gradient[start + i]) - sum));
            i += units;
        }
    }
}

/// `log Σ exp(logits)` of each row, and from it the negative log-likelihood of the row's label, 0 where that is
/// ignored.
#[cube(launch)]
pub(super) fn nll<F: Float, I: Int>(
    logits: &Tensor<F>,
    labels: &Tensor<I>,
    nll: &mut Tensor<f32>,
    sums: &mut Tensor<f32>,
    rows: usize,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * width;
        let mut top = f32::new(-3.0e38);
        let mut i = UNIT_POS_X as usize;
        while i < width {
            let value = f32::cast_from(logits[start + i]);
            if value > top {
                top = value;
            }
            i += units;
        }
        let top = cube_max(top, units);
        let mut sum = f32::new(0.0);
        let mut i = UNIT_POS_X as usize;
        while i < width {
            sum += (f32::cast_from(logits[start + i]) - top).exp();
            i += units;
        }
        let sum = cube_sum(sum, units).ln() + top;
        if UNIT_POS_X == 0 {
            let label = i32::cast_from(labels[row]);
            sums[row] = sum;
            nll[row] = f32::new(0.0);
            if label >= 0 {
                nll[row] = sum - f32::cast_from(logits[start + label as usize]);
            }
        }
    }
}

/// `(softmax(logits) - onehot(label)) · gradient`, zero where the label is ignored.
#[cube(launch)]
pub(super) fn nll_backward<F: Float, I: Int>(
    logits: &Tensor<F>,
    labels: &Tensor<I>,
    sums: &Tensor<f32>,
    gradient: &Tensor<f32>,
    out: &mut Tensor<F>,
    rows: usize,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS as usize;
    if row < rows {
        let start = row * width;
        let label = i32::cast_from(labels[row]);
        let mut g = f32::new(0.0);
        if label >= 0 {
            g = gradient[row];
        }
        let sum = sums[row];
        let mut i = UNIT_POS_X as usize;
        while i < width {
            let mut slope = (f32::cast_from(logits[start + i]) - sum).exp();
            if i as i32 == label {
                slope -= 1.0f32;
            }
            out[start + i] = F::cast_from(slope * g);
            i += units;
        }
    }
}
