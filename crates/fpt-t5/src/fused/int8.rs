//! Products with weights of one byte each.
//!
//! A weight is an integer from -127 to 127 times the scale of its block, so many inputs of one output. What is multiplied
//! by it is rounded in the same way, block by block, so that the products of a block are summed exactly, as integers, by
//! instructions that processors have for that; blocks are summed in f32. All processors compute the same bits.

mod matrix;
mod rows;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::match_target;
use rayon::prelude::*;

use matrix::SHIFT;
pub(super) use matrix::{Matrix, Order, Rounder};
use rows::{Rows, Tile, tiles};

/// The largest integer that stands for a number.
const LARGEST: f32 = 127.0;
/// Bytes that a lane of a vector multiplies at once.
const FOUR: usize = 4;
/// Columns of the product that are summed at once, each in a lane.
const LANES: usize = 16;
/// Rows that meet all of the matrix before the next ones come: what a cache holds that only one thread uses.
const CHUNK: usize = 128;
/// Columns that threads share out: those of a tile.
const WIDE: usize = 2 * LANES;
/// Parts of the columns for each thread, at most: the second thread may come late.
const PARTS_PER_THREAD: usize = 4;
/// Multiplications in a part, at least: fewer are done before another thread wakes up.
const MIN_WORK: usize = 1 << 18;

/// Put the integers that stand for `x` into `out`. Returns their scale and what the sum of their products begins with,
/// because of [`SHIFT`]: `-SHIFT · Σ x`. A number that is none, or infinite, makes the scale that, too.
#[inline(always)]
fn round_block(x: &[f32], out: &mut [i8]) -> (f32, i32) {
    // Of the bits without the sign, so that NaN is more than infinity.
    let largest = x.iter().map(|x| x.abs().to_bits()).fold(0, u32::max);
    let inverse = inverse(f32::from_bits(largest));
    for (out, x) in out.iter_mut().zip(x) {
        *out = (x * inverse).round_ties_even() as i8;
    }
    let sum: i32 = out.iter().map(|&x| i32::from(x)).sum();
    (f32::from_bits(largest) / LARGEST, -SHIFT * sum)
}

/// What the numbers of a block are multiplied by.
#[inline(always)]
fn inverse(largest: f32) -> f32 {
    if largest > 0.0 {
        LARGEST / largest
    } else {
        0.0
    }
}

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, into `out`, `[rows, columns]`, split between the threads of the
/// current pool.
pub(super) fn multiply(x: &[f32], weight: &Matrix<'_>, out: &mut [f32]) {
    let Order { columns, width, .. } = weight.order;
    let rows = x.len() / width;
    let threads = rayon::current_num_threads();
    let work = rows * columns * width / MIN_WORK;
    if threads == 1 || rows >= CHUNK * threads {
        out.par_chunks_mut(CHUNK * columns)
            .zip(x.par_chunks(CHUNK * width))
            .for_each(|(out, x)| {
                product(&Rows::new(x, weight.order), weight, 0..columns, out);
            });
        return;
    }
    let chunks = out.chunks_mut(CHUNK * columns).zip(x.chunks(CHUNK * width));
    for (out, x) in chunks {
        let x = Rows::new(x, weight.order);
        let parts = work.clamp(1, threads * PARTS_PER_THREAD);
        let part = columns.div_ceil(parts).next_multiple_of(WIDE);
        let starts: Vec<usize> = (0..columns).step_by(part).collect();
        let products: Vec<Vec<f32>> = starts
            .par_iter()
            .map(|&first| {
                let part = first..columns.min(first + part);
                let mut products = vec![0.0; out.len() / columns * part.len()];
                product(&x, weight, part, &mut products);
                products
            })
            .collect();
        for (&first, products) in starts.iter().zip(&products) {
            let count = part.min(columns - first);
            for (out, products) in out
                .chunks_exact_mut(columns)
                .zip(products.chunks_exact(count))
            {
                out[first..first + count].copy_from_slice(products);
            }
        }
    }
}

/// The product of `x` and some columns, of which the first is a multiple of [`LANES`], into `out`, `[rows, columns]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni",
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma"
))]
fn product(x: &Rows, weight: &Matrix<'_>, columns: Range<usize>, out: &mut [f32]) {
    match_target! {
        "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni" => vnni::product(x, weight, columns, out),
        _ => plain_product(x, weight, columns, out),
    }
}

/// [`product`], for any processor.
#[inline(always)]
fn plain_product(x: &Rows, weight: &Matrix<'_>, columns: Range<usize>, out: &mut [f32]) {
    for column in columns.clone().step_by(LANES) {
        let count = LANES.min(columns.end - column);
        for rows in tiles(x.count) {
            let tile = x.tile(rows.clone());
            for (row, place) in rows.clone().enumerate() {
                let sums = sums(&tile, [row, rows.len()], weight, column / LANES);
                let out = &mut out[place * columns.len() + column - columns.start..];
                out[..count].copy_from_slice(&sums[..count]);
            }
        }
    }
}

/// The products of a row of a tile of so many and a group of columns.
#[inline(always)]
fn sums(x: &Tile<'_>, [row, high]: [usize; 2], weight: &Matrix<'_>, group: usize) -> [f32; LANES] {
    let steps = weight.order.steps();
    let (lines, scales) = weight.group(group);
    let mut sums = [0.0; LANES];
    let blocks = lines
        .chunks_exact(steps)
        .zip(scales)
        .zip(x.values.chunks_exact(steps * high))
        .zip(x.starts.chunks_exact(high).zip(x.scales.chunks_exact(high)));
    for (((lines, w_scales), values), (starts, x_scales)) in blocks {
        let values = values.iter().skip(row).step_by(high);
        let mut dots = [[starts[row], 0]; LANES];
        for (line, x) in lines.iter().zip(values) {
            let x = x.map(i32::from);
            for ([even, odd], w) in dots.iter_mut().zip(line) {
                let w = w.map(i32::from);
                *even = even.wrapping_add((w[0] * x[0]).wrapping_add(w[1] * x[1]));
                *odd = odd.wrapping_add((w[2] * x[2]).wrapping_add(w[3] * x[3]));
            }
        }
        for ((sum, [even, odd]), w_scale) in sums.iter_mut().zip(dots).zip(w_scales) {
            *sum = ((even + odd) as f32).mul_add(x_scales[row] * w_scale, *sum);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fused::tests::numbers;

    /// `rows` rounded, the columns of a matrix.
    fn rounded(rows: &[f32], width: usize) -> Rounder {
        let mut rounder = Rounder::new(Order::new(rows.len() / width, width));
        rounder.push(rows);
        rounder
    }

    fn matrix(rounder: &Rounder) -> Matrix<'_> {
        let values = rounder.lines.as_flattened().as_flattened();
        Matrix::new(values, &rounder.scales, rounder.order)
    }

    proptest! {
        /// Against sums in f64 of the rounded numbers, in any number of threads; and rounding is by half a step at most.
        #[test]
        fn products(
            (rows, columns) in (1..90_usize, 1..100_usize),
            width in prop_oneof![1..200_usize, (1..8_usize).prop_map(|n| n * 64)],
            threads in 1..4_usize,
            seed in any::<u32>(),
        ) {
            let (x, weight) = (numbers(rows * width, seed), numbers(columns * width, !seed));
            let widened = |rounder: &Rounder, numbers: &[f32]| {
                let mut wide = Vec::new();
                matrix(rounder).widen(0..rounder.order.columns, &mut wide);
                assert_eq!(wide.len(), numbers.len());
                let block = rounder.order.block;
                for (numbers, wide) in numbers.chunks(block).zip(wide.chunks(block)) {
                    let largest = numbers.iter().fold(0.0, |top: f32, x| top.max(x.abs()));
                    for (number, wide) in numbers.iter().zip(wide) {
                        assert!((number - wide).abs() <= largest / LARGEST * 0.501, "{number} {wide}");
                    }
                }
                wide
            };
            let wide_x = widened(&rounded(&x, width), &x);
            let rounder = rounded(&weight, width);
            let wide = widened(&rounder, &weight);
            let mut out = vec![f32::NAN; rows * columns];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| multiply(&x, &matrix(&rounder), &mut out));
            for (x, out) in wide_x.chunks(width).zip(out.chunks(columns)) {
                for (weight, &out) in wide.chunks(width).zip(out) {
                    let product = |(&x, &w): (&f32, &f32)| f64::from(x) * f64::from(w);
                    let sum: f64 = x.iter().zip(weight).map(product).sum();
                    prop_assert!((sum - f64::from(out)).abs() < 1e-4, "{sum} {out}");
                }
            }
        }

        /// What processors without the instructions compute is the same, bit by bit: sums of integers, block by block, of
        /// numbers of columns and widths that are no multiples of what a vector holds, too.
        #[test]
        fn bits(
            (rows, columns) in (1..20_usize, 1..70_usize),
            width in prop_oneof![1..200_usize, (1..6_usize).prop_map(|n| n * 64)],
            seed in any::<u32>(),
        ) {
            let (x, weight) = (numbers(rows * width, seed), numbers(columns * width, !seed));
            let rounder = rounded(&weight, width);
            let weights = matrix(&rounder);
            let mut out = vec![f32::NAN; rows * columns];
            multiply(&x, &weights, &mut out);
            let mut plain = vec![f32::NAN; rows * columns];
            plain_product(&Rows::new(&x, rounder.order), &weights, 0..columns, &mut plain);
            let block = rounder.order.block;
            let integers = |numbers: &[f32]| {
                let mut integers = vec![0; block];
                let (scale, _) = round_block(numbers, &mut integers);
                (integers, scale)
            };
            for (x, (out, plain)) in x.chunks(width).zip(out.chunks(columns).zip(plain.chunks(columns))) {
                for (weight, (out, plain)) in weight.chunks(width).zip(out.iter().zip(plain)) {
                    let blocks = x.chunks(block).zip(weight.chunks(block));
                    let sum = blocks.fold(0.0, |sum, (x, weight)| {
                        let ((x, x_scale), (w, w_scale)) = (integers(x), integers(weight));
                        let dot: i32 = x.iter().zip(w).map(|(&x, w)| i32::from(x) * i32::from(w)).sum();
                        (dot as f32).mul_add(x_scale * w_scale, sum)
                    });
                    prop_assert_eq!(sum.to_bits(), out.to_bits());
                    prop_assert_eq!(sum.to_bits(), plain.to_bits());
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_lost() {
        const WIDTH: usize = 64;
        let rounder = rounded(&[1.0; WIDTH], WIDTH);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [0.5; 2 * WIDTH];
            x[3] = wrong;
            let mut out = [0.0; 2];
            multiply(&x, &matrix(&rounder), &mut out);
            assert!(
                !out[0].is_finite() && out[1] == WIDTH as f32 * 0.5,
                "{wrong}: {out:?}"
            );
        }
    }

    /// The integers of numbers that are none, infinite or so small that their quotient is, are the same, too.
    #[test]
    fn rounding_is_the_same_everywhere() {
        let mut x = numbers(128, 1);
        for special in [0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-39, 2.5] {
            x[17] = special;
            for x in [x.clone(), x.iter().map(|x| x * 1e-38).collect()] {
                let order = Order::new(1, 128);
                let rows = Rows::new(&x, order);
                let tile = rows.tile(0..1);
                let mut integers = [0; 128];
                let (scale, start) = round_block(&x, &mut integers);
                assert_eq!(tile.values.as_flattened(), integers, "{special}");
                assert_eq!(tile.starts, [start], "{special}");
                assert_eq!(tile.scales[0].to_bits(), scale.to_bits(), "{special}");
            }
        }
    }
}
