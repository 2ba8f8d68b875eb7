//! Inner loops over f32 slices, written with `pulp`, the SIMD layer below `faer`: of vectors as long as the processor has
//! them, by which the order of sums follows, too.
//!
//! Rows may be as short as a few vectors, so that how a row begins and ends is worth as much as what lies between: the
//! numbers of a vector are added up by halves, and what is left of a row is a vector that is not full.
//!
//! Plain loops and functions that are always inlined: closures may not be, and are not compiled for the processor then.

use pulp::{Arch, Simd, with_simd};

use super::portable;

const TWICE_SQRT_2_OVER_PI: f32 = portable::TWICE_SQRT_2_OVER_PI as f32;
const CUBIC: f32 = portable::CUBIC as f32;

/// As many numbers as the longest vector has, at least.
const LONGEST: usize = 64;
/// Exponentials that are added up in f32.
const EXPONENTIALS: usize = 256;

/// What is left of a row, filled up with `fill`.
#[inline(always)]
fn filled<S: Simd>(simd: S, rest: &[f32], fill: f32) -> S::f32s {
    let mut numbers = [fill; LONGEST];
    numbers[..rest.len()].copy_from_slice(rest);
    simd.partial_load_f32s(&numbers[..S::F32_LANES])
}

/// e^x to about one unit in the last place, without branches: `2^n · e^r` with `|r| ≤ ln(2)/2` and the polynomial of
/// the Cephes library for `e^r`. Below -87.7 it is 0, so that hardly a denormal slows down what follows.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Here `n` is -127, and the bits of `2^n` are none.
    const LOWEST: f32 = -88.0;
    const HIGHEST: f32 = 88.0;
    // -ln(2) in two parts, the first exact, so that `x - n · ln(2)` loses nothing.
    const LN_2_HIGH: f32 = -355.0 / 512.0;
    const LN_2_LOW: f32 = 2.121_944_4e-4;
    const POLYNOMIAL: [f32; 5] = [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    // In this order what is no number stays that.
    let clamped = simd.max_f32s(simd.splat_f32s(LOWEST), x);
    let clamped = simd.min_f32s(simd.splat_f32s(HIGHEST), clamped);
    let shifted = simd.mul_add_f32s(
        clamped,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUND),
    );
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.mul_add_f32s(n, simd.splat_f32s(LN_2_HIGH), clamped);
    let r = simd.mul_add_f32s(n, simd.splat_f32s(LN_2_LOW), r);
    let mut p = simd.splat_f32s(1.987_569_1e-4);
    for term in POLYNOMIAL {
        p = simd.mul_add_f32s(p, r, simd.splat_f32s(term));
    }
    let y = simd.mul_add_f32s(p, simd.mul_f32s(r, r), r);
    // In this version the names of these two say it the other way round.
    let bits = simd.transmute_u32s_f32s(shifted);
    let bits = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let bits = simd.add_u32s(bits, simd.splat_u32s(1.0_f32.to_bits()));
    let power = simd.transmute_f32s_u32s(bits);
    simd.mul_f32s(simd.add_f32s(y, simd.splat_f32s(1.0)), power)
}

/// `sigmoid(2u)` of GELU's tanh form.
#[inline(always)]
fn gelu_sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let cubic = simd.mul_f32s(simd.splat_f32s(CUBIC), x);
    let cubic = simd.mul_add_f32s(cubic, x, one);
    let u = simd.mul_f32s(simd.splat_f32s(-TWICE_SQRT_2_OVER_PI), x);
    let u = simd.mul_f32s(u, cubic);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, u)))
}

#[inline(always)]
fn gated<S: Simd>(simd: S, gate: S::f32s, value: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.mul_f32s(gate, gelu_sigmoid(simd, gate)), value)
}

/// The gradients of gate and value.
#[inline(always)]
fn gated_backward<S: Simd>(simd: S, [x, value, g]: [S::f32s; 3]) -> [S::f32s; 2] {
    let one = simd.splat_f32s(1.0);
    let s = gelu_sigmoid(simd, x);
    let y = simd.mul_f32s(x, s);
    let slope = simd.mul_f32s(simd.splat_f32s(3.0 * CUBIC), x);
    let slope = simd.mul_add_f32s(slope, x, one);
    let slope = simd.mul_f32s(slope, simd.splat_f32s(TWICE_SQRT_2_OVER_PI));
    let rest = simd.mul_f32s(y, simd.sub_f32s(one, s));
    let slope = simd.mul_add_f32s(rest, slope, s);
    let of_gate = simd.mul_f32s(simd.mul_f32s(g, value), slope);
    [of_gate, simd.mul_f32s(g, y)]
}

#[inline(always)]
fn reciprocal_rms(squares: f32, width: usize, epsilon: f32) -> f32 {
    1.0 / (squares / width as f32 + epsilon).sqrt()
}

/// Rows of `x / rms(x) · weight`, as wide as the weight.
#[with_simd(rms_norm = Arch::new())]
#[inline(always)]
pub(super) fn rms_norm_of<S: Simd>(
    simd: S,
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    out: &mut [f32],
) {
    let width = weight.len();
    let (w, w_rest) = S::as_simd_f32s(weight);
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (x, x_rest) = S::as_simd_f32s(x);
        let (out, out_rest) = S::as_mut_simd_f32s(out);
        let last = simd.partial_load_f32s(x_rest);
        let mut squares = simd.mul_f32s(last, last);
        for x in x {
            squares = simd.mul_add_f32s(*x, *x, squares);
        }
        let r = reciprocal_rms(simd.reduce_sum_f32s(squares), width, epsilon);
        let r = simd.splat_f32s(r);
        for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
            *out = simd.mul_f32s(simd.mul_f32s(*x, r), *w);
        }
        if !out_rest.is_empty() {
            let w = simd.partial_load_f32s(w_rest);
            simd.partial_store_f32s(out_rest, simd.mul_f32s(simd.mul_f32s(last, r), w));
        }
    }
}

/// Gradient of [`rms_norm`]'s `x`, in the place of the result's.
#[with_simd(rms_norm_backward = Arch::new())]
#[inline(always)]
pub(super) fn rms_norm_backward_of<S: Simd>(
    simd: S,
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    gradient: &mut [f32],
) {
    let width = weight.len();
    let (w, w_rest) = S::as_simd_f32s(weight);
    let last_w = simd.partial_load_f32s(w_rest);
    let rows = x.chunks_exact(width);
    for (x, g) in rows.zip(gradient.chunks_exact_mut(width)) {
        let (x, x_rest) = S::as_simd_f32s(x);
        let (g, g_rest) = S::as_mut_simd_f32s(g);
        let last_x = simd.partial_load_f32s(x_rest);
        let last_g = simd.mul_f32s(simd.partial_load_f32s(g_rest), last_w);
        let mut squares = simd.mul_f32s(last_x, last_x);
        let mut products = simd.mul_f32s(last_x, last_g);
        for ((x, g), w) in x.iter().zip(&*g).zip(w) {
            squares = simd.mul_add_f32s(*x, *x, squares);
            products = simd.mul_add_f32s(simd.mul_f32s(*x, *w), *g, products);
        }
        let r = reciprocal_rms(simd.reduce_sum_f32s(squares), width, epsilon);
        let mean = simd.reduce_sum_f32s(products) / width as f32;
        let (k, r) = (simd.splat_f32s(mean * r * r), simd.splat_f32s(r));
        for ((g, x), w) in g.iter_mut().zip(x).zip(w) {
            let of_normed = simd.mul_f32s(*g, *w);
            *g = simd.mul_f32s(simd.sub_f32s(of_normed, simd.mul_f32s(*x, k)), r);
        }
        if !g_rest.is_empty() {
            let last = simd.sub_f32s(last_g, simd.mul_f32s(last_x, k));
            simd.partial_store_f32s(g_rest, simd.mul_f32s(last, r));
        }
    }
}

/// `gelu(gate) · value`.
#[with_simd(gated_gelu = Arch::new())]
#[inline(always)]
pub(super) fn gated_gelu_of<S: Simd>(simd: S, gate: &[f32], value: &[f32], out: &mut [f32]) {
    let (gate, gate_rest) = S::as_simd_f32s(gate);
    let (value, value_rest) = S::as_simd_f32s(value);
    let (out, out_rest) = S::as_mut_simd_f32s(out);
    for ((out, gate), value) in out.iter_mut().zip(gate).zip(value) {
        *out = gated(simd, *gate, *value);
    }
    let gate = simd.partial_load_f32s(gate_rest);
    let value = simd.partial_load_f32s(value_rest);
    simd.partial_store_f32s(out_rest, gated(simd, gate, value));
}

/// Gradients of [`gated_gelu`]'s inputs, that of the gate in its place, that of the value in the place of the result's.
#[with_simd(gated_gelu_backward = Arch::new())]
#[inline(always)]
pub(super) fn gated_gelu_backward_of<S: Simd>(
    simd: S,
    gate: &mut [f32],
    value: &[f32],
    gradient: &mut [f32],
) {
    let (gate, gate_rest) = S::as_mut_simd_f32s(gate);
    let (value, value_rest) = S::as_simd_f32s(value);
    let (gradient, gradient_rest) = S::as_mut_simd_f32s(gradient);
    for ((gate, value), g) in gate.iter_mut().zip(value).zip(gradient) {
        [*gate, *g] = gated_backward(simd, [*gate, *value, *g]);
    }
    let last = [
        simd.partial_load_f32s(gate_rest),
        simd.partial_load_f32s(value_rest),
        simd.partial_load_f32s(gradient_rest),
    ];
    let gradients = gated_backward(simd, last);
    simd.partial_store_f32s(gate_rest, gradients[0]);
    simd.partial_store_f32s(gradient_rest, gradients[1]);
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
#[with_simd(softmax = Arch::new())]
#[inline(always)]
pub(super) fn softmax_of<S: Simd>(simd: S, scores: &mut [f32], width: usize, bias: BiasRows<'_>) {
    let (all, all_rest) = S::as_simd_f32s(&bias.all[..width]);
    // Where there is no score it is so small that its exponential is 0.
    let last_of_all = filled(simd, all_rest, f32::MIN);
    let mut start = bias.start;
    for scores in scores.chunks_exact_mut(width) {
        let (own, own_rest) = S::as_simd_f32s(&bias.values[start..][..width]);
        let (scores, rest) = S::as_mut_simd_f32s(scores);
        let last = simd.add_f32s(simd.partial_load_f32s(own_rest), last_of_all);
        let mut last = simd.add_f32s(simd.partial_load_f32s(rest), last);
        let mut tops = last;
        for ((score, own), all) in scores.iter_mut().zip(own).zip(all) {
            *score = simd.add_f32s(*score, simd.add_f32s(*own, *all));
            tops = simd.max_f32s(tops, *score);
        }
        let top = simd.splat_f32s(simd.reduce_max_f32s(tops));
        let mut sums = simd.splat_f32s(0.0);
        for score in scores.iter_mut() {
            *score = exp(simd, simd.sub_f32s(*score, top));
            sums = simd.add_f32s(sums, *score);
        }
        if !rest.is_empty() {
            last = exp(simd, simd.sub_f32s(last, top));
            sums = simd.add_f32s(sums, last);
        }
        let scale = simd.splat_f32s(1.0 / simd.reduce_sum_f32s(sums));
        for score in scores {
            *score = simd.mul_f32s(*score, scale);
        }
        simd.partial_store_f32s(rest, simd.mul_f32s(last, scale));
        start = start.wrapping_add_signed(bias.step);
    }
}

/// From the gradient of rows of probabilities to that of their scores, in place.
#[with_simd(softmax_backward = Arch::new())]
#[inline(always)]
pub(super) fn softmax_backward_of<S: Simd>(
    simd: S,
    probabilities: &[f32],
    width: usize,
    gradient: &mut [f32],
) {
    let rows = probabilities.chunks_exact(width);
    for (p, g) in rows.zip(gradient.chunks_exact_mut(width)) {
        let (p, p_rest) = S::as_simd_f32s(p);
        let (g, g_rest) = S::as_mut_simd_f32s(g);
        let (last_p, last_g) = (
            simd.partial_load_f32s(p_rest),
            simd.partial_load_f32s(g_rest),
        );
        let mut products = simd.mul_f32s(last_p, last_g);
        for (p, g) in p.iter().zip(&*g) {
            products = simd.mul_add_f32s(*p, *g, products);
        }
        let dot = simd.splat_f32s(simd.reduce_sum_f32s(products));
        for (p, g) in p.iter().zip(g) {
            *g = simd.mul_f32s(*p, simd.sub_f32s(*g, dot));
        }
        simd.partial_store_f32s(g_rest, simd.mul_f32s(last_p, simd.sub_f32s(last_g, dot)));
    }
}

/// Largest of a slice.
#[inline(always)]
fn largest<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (x, rest) = S::as_simd_f32s(x);
    let mut tops = filled(simd, rest, f32::MIN);
    for x in x {
        tops = simd.max_f32s(tops, *x);
    }
    simd.reduce_max_f32s(tops)
}

/// `Σ exp(x - top)`.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, x: &[f32], top: f32) -> f32 {
    let top = simd.splat_f32s(top);
    let (x, rest) = S::as_simd_f32s(x);
    let mut sums = exp(simd, simd.sub_f32s(filled(simd, rest, f32::MIN), top));
    for x in x {
        sums = simd.add_f32s(sums, exp(simd, simd.sub_f32s(*x, top)));
    }
    simd.reduce_sum_f32s(sums)
}

/// `log Σ exp(x)`.
#[with_simd(log_sum_exp = Arch::new())]
#[inline(always)]
pub(super) fn log_sum_exp_of<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let top = largest(simd, x);
    exponentials(simd, x, top).ln() + top
}

/// `Σ exp(x - top)`: parts of a long row are added up in f64, so that it is exact to what the exponentials are.
#[with_simd(exp_sum = Arch::new())]
#[inline(always)]
pub(crate) fn exp_sum_of<S: Simd>(simd: S, x: &[f32], top: f32) -> f64 {
    let mut total = 0.0;
    for x in x.chunks(EXPONENTIALS) {
        total += f64::from(exponentials(simd, x, top));
    }
    total
}

/// The largest of each `width` elements.
#[with_simd(maxima = Arch::new())]
#[inline(always)]
pub(crate) fn maxima_of<S: Simd>(simd: S, x: &[f32], width: usize, out: &mut [f32]) {
    for (x, out) in x.chunks(width).zip(out) {
        *out = largest(simd, x);
    }
}

/// `exp(x - log_sum_exp) · scale`, in the place of `x`.
#[with_simd(scaled_softmax = Arch::new())]
#[inline(always)]
pub(super) fn scaled_softmax_of<S: Simd>(simd: S, x: &mut [f32], log_sum_exp: f32, scale: f32) {
    let (sum, scale) = (simd.splat_f32s(log_sum_exp), simd.splat_f32s(scale));
    let (x, rest) = S::as_mut_simd_f32s(x);
    for x in x {
        *x = simd.mul_f32s(exp(simd, simd.sub_f32s(*x, sum)), scale);
    }
    let last = exp(simd, simd.sub_f32s(simd.partial_load_f32s(rest), sum));
    simd.partial_store_f32s(rest, simd.mul_f32s(last, scale));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[with_simd(exponentials = Arch::new())]
    #[inline(always)]
    fn exponentials_of<S: Simd>(simd: S, x: &mut [f32]) {
        let (x, rest) = S::as_mut_simd_f32s(x);
        for x in x {
            *x = exp(simd, *x);
        }
        let last = simd.partial_load_f32s(rest);
        simd.partial_store_f32s(rest, exp(simd, last));
    }

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        let x: Vec<f32> = (-87_000..=88_000).map(|i| i as f32 / 1000.0).collect();
        let mut ours = x.clone();
        exponentials(&mut ours);
        for (x, ours) in x.iter().zip(ours) {
            let (ours, exact) = (f64::from(ours), f64::from(*x).exp());
            assert!(
                (ours - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact,
                "{x}: {ours} {exact}"
            );
        }
        // In a vector, and in one that is not full.
        for count in [1, 64] {
            for (x, y) in [(0.0, 1.0), (-87.8, 0.0), (f32::NEG_INFINITY, 0.0)] {
                let mut numbers = vec![x; count];
                exponentials(&mut numbers);
                assert_eq!(numbers, vec![y; count]);
            }
            let mut numbers = vec![f32::NAN; count];
            exponentials(&mut numbers);
            assert!(numbers.iter().all(|x| x.is_nan()));
        }
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
