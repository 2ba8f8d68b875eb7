//! Inner loops over f32 slices.
//!
//! They are plain loops that the compiler vectorises; `multiversion` compiles each for several instruction sets and
//! picks one when the program runs. All use the same sixteen partial sums and fuse the same multiplications, so
//! results do not depend on the instruction set.

use multiversion::multiversion;

use super::portable;

const TWICE_SQRT_2_OVER_PI: f32 = portable::TWICE_SQRT_2_OVER_PI as f32;
const CUBIC: f32 = portable::CUBIC as f32;

const LANES: usize = 16;
/// Exponentials that are added up in f32, as many in each lane as lanes.
const EXPONENTIALS: usize = LANES * LANES;

/// Sum of `f(0..n)`, in an order that vectors can follow.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    let mut total: f32 = lanes.iter().sum();
    for i in whole..n {
        total += f(i);
    }
    total
}

/// Largest of a slice.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::MIN; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    let top = |top: f32, &x: &f32| if x > top { x } else { top };
    rest.iter().fold(lanes.iter().fold(f32::MIN, top), top)
}

/// e^x to about one unit in the last place, without branches: `2^n · e^r` with `|r| ≤ ln(2)/2` and the polynomial of
/// the Cephes library for `e^r`. Below -87 it is 0, so that no denormal slows down what follows.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // -ln(2) in two parts, the first exact, so that `x - n · ln(2)` loses nothing.
    const LN_2_HIGH: f32 = -355.0 / 512.0;
    const LN_2_LOW: f32 = 2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(LN_2_LOW, n.mul_add(LN_2_HIGH, clamped));
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let y = p.mul_add(r * r, r) + 1.0;
    if x < -87.0 { 0.0 } else { y * power }
}

/// `sigmoid(2u)` of GELU's tanh form.
#[inline(always)]
fn gelu_sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * x * (CUBIC * x).mul_add(x, 1.0)))
}

#[inline(always)]
fn reciprocal_rms(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum(x.len(), |i| x[i] * x[i]) / x.len() as f32 + epsilon).sqrt()
}

/// Rows of `x / rms(x) · weight`, as wide as the weight.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let r = reciprocal_rms(x, epsilon);
        for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
            *out = x * r * w;
        }
    }
}

/// Gradient of [`rms_norm`]'s `x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    epsilon: f32,
    out: &mut [f32],
) {
    let width = weight.len();
    let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
    for ((x, g), out) in rows.zip(out.chunks_exact_mut(width)) {
        let r = reciprocal_rms(x, epsilon);
        let mean = sum(width, |i| x[i] * weight[i] * g[i]) / width as f32;
        let k = mean * r * r;
        for (((out, x), g), w) in out.iter_mut().zip(x).zip(g).zip(weight) {
            *out = (g * w - x * k) * r;
        }
    }
}

/// `gelu(gate) · value`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn gated_gelu(gate: &[f32], value: &[f32], out: &mut [f32]) {
    for ((out, &x), value) in out.iter_mut().zip(gate).zip(value) {
        *out = x * gelu_sigmoid(x) * value;
    }
}

/// Gradients of [`gated_gelu`]'s inputs; that of the value takes the place of the result's gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn gated_gelu_backward(gate: &[f32], value: &[f32], gradient: &mut [f32], d_gate: &mut [f32]) {
    let inputs = gate.iter().zip(value);
    for (((&x, value), g), d_gate) in inputs.zip(gradient.iter_mut()).zip(d_gate) {
        let s = gelu_sigmoid(x);
        let y = x * s;
        let slope = (3.0 * CUBIC * x).mul_add(x, 1.0) * TWICE_SQRT_2_OVER_PI;
        *d_gate = *g * value * (y * (1.0 - s)).mul_add(slope, s);
        *g *= y;
    }
}

/// What is added to rows of scores: to each a row of its own and one of all.
#[derive(Clone, Copy)]
pub(super) struct BiasRows<'a> {
    /// Rows of their own, which may overlap: the first is at `start`, and each `step` after the one before.
    pub(super) values: &'a [f32],
    pub(super) start: usize,
    pub(super) step: isize,
    pub(super) all: &'a [f32],
}

/// Softmax of rows of scores, to which `bias` is added.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn softmax(scores: &mut [f32], width: usize, bias: BiasRows<'_>) {
    let all = &bias.all[..width];
    let mut start = bias.start;
    for scores in scores.chunks_exact_mut(width) {
        let own = &bias.values[start..][..width];
        for ((score, own), all) in scores.iter_mut().zip(own).zip(all) {
            *score += own + all;
        }
        let top = largest(scores);
        for score in scores.iter_mut() {
            *score = exp(*score - top);
        }
        let scale = 1.0 / sum(width, |i| scores[i]);
        for score in scores.iter_mut() {
            *score *= scale;
        }
        start = start.wrapping_add_signed(bias.step);
    }
}

/// From the gradient of rows of probabilities to that of their scores, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn softmax_backward(probabilities: &[f32], width: usize, gradient: &mut [f32]) {
    let rows = probabilities.chunks_exact(width);
    for (p, g) in rows.zip(gradient.chunks_exact_mut(width)) {
        let dot = sum(width, |i| p[i] * g[i]);
        for (g, p) in g.iter_mut().zip(p) {
            *g = p * (*g - dot);
        }
    }
}

/// `log Σ exp(x)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn log_sum_exp(x: &[f32]) -> f32 {
    let top = largest(x);
    sum(x.len(), |i| exp(x[i] - top)).ln() + top
}

/// `Σ exp(x - top)`: parts of a long row are added up in f64, so that it is exact to what the exponentials are.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn exp_sum(x: &[f32], top: f32) -> f64 {
    let mut total = 0.0;
    for x in x.chunks(EXPONENTIALS) {
        total += f64::from(sum(x.len(), |i| exp(x[i] - top)));
    }
    total
}

/// The largest of each `width` elements.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn maxima(x: &[f32], width: usize, out: &mut [f32]) {
    for (x, out) in x.chunks(width).zip(out) {
        *out = largest(x);
    }
}

/// `exp(x - log_sum_exp) · scale`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub fn scaled_softmax(x: &[f32], log_sum_exp: f32, scale: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = exp(x - log_sum_exp) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::{exp, exp_sum, maxima};

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (ours - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact,
                "{x}: {ours} {exact}"
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-87.1), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_of_exponentials_are_as_exact_as_their_terms() {
        for length in [0, 1, 15, 255, 256, 257, 32_128] {
            let x: Vec<f32> = (0..length).map(|i| (i % 977) as f32 / -40.0).collect();
            let exact: f64 = x.iter().map(|&x| f64::from(x).exp()).sum();
            let ours = exp_sum(&x, 0.0);
            assert!(
                (ours - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact,
                "{length}: {ours} {exact}"
            );
        }
    }

    #[test]
    fn maxima_of_blocks_and_of_what_is_left() {
        let x: Vec<f32> = (0..70).map(|i| ((i * 37) % 71) as f32 - 40.0).collect();
        let mut found = [0.0; 3];
        maxima(&x, 32, &mut found);
        let expected = x
            .chunks(32)
            .map(|x| x.iter().copied().fold(f32::MIN, f32::max));
        assert_eq!(found.to_vec(), expected.collect::<Vec<_>>());
    }
}
