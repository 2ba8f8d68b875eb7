//! Products with weights in bf16. What they multiply is rounded to bf16, too, as graphics cards have it, and sums are in
//! f32. There are processors with instructions for that, which multiply twice as many numbers at a time; others multiply
//! the rounded numbers in f32, and get the same but for the order of sums.

#[cfg(target_arch = "x86_64")]
mod avx512;

use std::ops::Range;

use burn::tensor::bf16;
use faer::Accum;
use multiversion::multiversion;
use multiversion::target::match_target;

use super::few_rows::Stored;
use super::matrix::{View, WIDENED, multiply_and, multiply_widened};

/// Columns of the product that are summed at once, each in a lane.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 16;

/// Rows up to which a product of few rows was faster than [`by_rows`] where that has instructions of its own.
#[cfg(target_arch = "x86_64")]
const FEW_ROWS: usize = 16;

/// Whether so many rows may be too few for [`by_rows`] on this processor.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512bf16"))]
pub(super) fn suits_few_rows(rows: usize) -> bool {
    match_target! {
        "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512bf16" => rows <= FEW_ROWS,
        _ => {
            let _ = rows;
            true
        }
    }
}

/// As a product takes `x`, in f32.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn rounded(x: &[f32]) -> Vec<f32> {
    let widened = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    x.iter().map(|&x| widened(round(x))).collect()
}

/// The bits of the nearest number in bf16, of two the even one, without branches.
#[inline(always)]
fn round(x: f32) -> u16 {
    /// Makes of what is no number another that is none.
    const QUIET: u32 = 0x0040_0000;
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let bits = if x.is_nan() { bits | QUIET } else { nearest };
    (bits >> 16) as u16
}

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, and `weight`, `[columns, width]`, into `out`, `[rows, columns]`.
pub(super) fn by_rows(how: Accum, x: &[f32], width: usize, weight: &[bf16], out: &mut [f32]) {
    if fast(how, Over::Width, x, width, weight, out) {
        return;
    }
    let (rows, columns) = (x.len() / width, weight.len() / width);
    let x = rounded(x);
    let x = View::contiguous(&x, [rows, width]);
    let at_once = (WIDENED / width).max(1);
    let mut place = Vec::new();
    for (part, weight) in weight.chunks(at_once * width).enumerate() {
        let weight = bf16::widened(weight, &mut place);
        let weight = View::contiguous(weight, [weight.len() / width, width]);
        let out = &mut out[part * at_once..];
        multiply_and(how, x, weight.transpose(), out, columns);
    }
}

/// `x · weight` of contiguous `x`, `[rows, columns]`, and `weight`, `[columns, width]`, into `out`, `[rows, width]`.
pub(super) fn by_columns(how: Accum, x: &[f32], width: usize, weight: &[bf16], out: &mut [f32]) {
    if fast(how, Over::Columns, x, width, weight, out) {
        return;
    }
    let widen = |rows: Range<usize>, place: &mut _| {
        bf16::widened(&weight[rows.start * width..rows.end * width], place);
    };
    let size = [weight.len() / width, width];
    multiply_widened(how, &rounded(x), size, widen, out);
}

/// What a sum of a product with `[columns, width]` runs over: [`by_rows`] or [`by_columns`].
#[derive(Clone, Copy)]
enum Over {
    Width,
    Columns,
}

/// The product, if this processor has instructions for it.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512bf16"))]
fn fast(how: Accum, over: Over, x: &[f32], width: usize, weight: &[bf16], out: &mut [f32]) -> bool {
    match_target! {
        "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512bf16" => {
            avx512::product(how, over, x, width, weight, out);
            true
        }
        _ => {
            let _ = (how, over, x, width, weight, out);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fused::tests::numbers;

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        let mut x = numbers(1000, 5);
        x.extend([
            0.0,
            -0.0,
            1.0,
            f32::MAX,
            f32::MIN,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ]);
        // Ties, to the even ones.
        x.extend([1.0 + 0.5 / 128.0, 1.0 + 1.5 / 128.0]);
        for (x, rounded) in x.iter().zip(rounded(&x)) {
            assert_eq!(
                rounded.to_bits(),
                bf16::from_f32(*x).to_f32().to_bits(),
                "{x}"
            );
        }
        assert!(
            rounded(&[f32::NAN, f32::from_bits(0x7F80_0001)])
                .iter()
                .all(|x| x.is_nan())
        );
    }

    proptest! {
        /// Against sums in f64 of the rounded numbers.
        #[test]
        fn products(
            rows in 1..40_usize,
            (columns, width) in (1..150_usize, prop_oneof![1..150_usize, (1..6_usize).prop_map(|n| n * 64)]),
            seed in any::<u32>(),
        ) {
            let wide = |numbers: &[f32]| rounded(numbers).into_iter().map(f64::from).collect::<Vec<_>>();
            let weight = numbers(columns * width, !seed);
            let stored: Vec<bf16> = weight.iter().map(|&x| bf16::from_f32(x)).collect();
            let weight = wide(&weight);
            let close = |ours: f32, exact: f64| (f64::from(ours) - exact).abs() < 1e-4;

            let x = numbers(rows * width, seed);
            let before = numbers(rows * columns, seed ^ 77);
            let mut out = before.clone();
            by_rows(Accum::Add, &x, width, &stored, &mut out);
            let mut alone = vec![f32::NAN; rows * columns];
            by_rows(Accum::Replace, &x, width, &stored, &mut alone);
            for (row, x) in wide(&x).chunks(width).enumerate() {
                for (column, weight) in weight.chunks(width).enumerate() {
                    let exact: f64 = x.iter().zip(weight).map(|(x, w)| x * w).sum();
                    let place = row * columns + column;
                    prop_assert!(close(alone[place], exact), "{} {exact}", alone[place]);
                    let sum = exact + f64::from(before[place]);
                    prop_assert!(close(out[place], sum), "{} {sum}", out[place]);
                }
            }

            let x = numbers(rows * columns, seed);
            let mut out = vec![f32::NAN; rows * width];
            by_columns(Accum::Replace, &x, width, &stored, &mut out);
            for (x, out) in wide(&x).chunks(columns).zip(out.chunks(width)) {
                for (input, &out) in out.iter().enumerate() {
                    let exact: f64 = x.iter().zip(weight.chunks(width)).map(|(x, w)| x * w[input]).sum();
                    prop_assert!(close(out, exact), "{out} {exact}");
                }
            }
        }
    }
}
