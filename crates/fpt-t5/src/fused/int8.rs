//! Products with weights of one byte each.
//!
//! A weight is an integer from -127 to 127 times the scale of its block, so many inputs of one output. What is multiplied
//! by it is rounded in the same way, block by block, so that the products of a block are summed exactly, as integers, by
//! instructions that processors have for that; blocks are summed in f32. All processors compute the same bits.

#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod wide;

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::match_target;
use rayon::prelude::*;

/// The largest integer that stands for a number.
const LARGEST: f32 = 127.0;
/// Rows of `x`, and columns of the product, in a tile.
const TILE: usize = 4;
/// Bytes that one instruction multiplies.
const STEP: usize = 64;
/// Sums that one instruction adds to.
const LANES: usize = STEP / 4;
/// Rows that meet all of the matrix before the next ones come: what a cache holds that only one thread uses.
const CHUNK: usize = 128;
/// Tiles between one that is fetched and the one that is multiplied.
const AHEAD: usize = 2;
/// Parts of the columns for each thread, at most: the second thread may come late.
const PARTS_PER_THREAD: usize = 4;
/// Multiplications in a part, at least: fewer are done before another thread wakes up.
const MIN_WORK: usize = 1 << 18;

/// Inputs that share a scale, at most; a scheme of Burn's has no larger blocks of a power of two.
const BLOCK: usize = 128;

/// How many of so many inputs share a scale.
pub(super) fn block(width: usize) -> usize {
    let divides = |block: &usize| width.is_multiple_of(*block);
    let steps = [BLOCK, STEP];
    let found = steps.into_iter().find(divides);
    found.unwrap_or_else(|| (1..=BLOCK).rev().find(divides).unwrap_or(1))
}

/// The rows of a matrix, rounded.
pub(super) struct Matrix<'a> {
    /// `[rows, width]`.
    pub(super) values: &'a [i8],
    /// `[width / block, rows]`.
    pub(super) scales: &'a [f32],
    pub(super) width: usize,
    pub(super) block: usize,
}

impl Matrix<'_> {
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Put some rows into `place`, as the numbers that they stand for.
    pub(super) fn widen(&self, rows: Range<usize>, place: &mut Vec<f32>) {
        place.clear();
        for row in rows {
            let values = self.values[row * self.width..][..self.width].chunks_exact(self.block);
            let scales = self.scales.iter().skip(row).step_by(self.rows());
            for (values, scale) in values.zip(scales) {
                place.extend(values.iter().map(|&value| f32::from(value) * scale));
            }
        }
    }

    /// Some rows of the matrix.
    fn tile<'a>(&'a self, columns: [usize; TILE], scales: &'a mut Vec<[f32; TILE]>) -> WTile<'a> {
        let count = self.rows();
        scales.clear();
        scales.extend(
            self.scales
                .chunks_exact(count)
                .map(|scales| columns.map(|column| scales[column])),
        );
        WTile {
            values: columns.map(|column| &self.values[column * self.width..][..self.width]),
            scales,
            block: self.block,
        }
    }
}

/// A matrix that is rounded row by row, as they come.
pub(super) struct Rounder {
    /// `[rows, width]`.
    pub(super) values: Vec<i8>,
    /// `[width / block, rows]`.
    pub(super) scales: Vec<f32>,
    rows: usize,
    width: usize,
    block: usize,
    /// Blocks that have come.
    done: usize,
}

impl Rounder {
    pub(super) fn new(rows: usize, width: usize, block: usize) -> Self {
        Self {
            values: vec![0; rows * width],
            scales: vec![0.0; rows * width / block],
            rows,
            width,
            block,
            done: 0,
        }
    }

    /// The next rows, or blocks of them.
    pub(super) fn push(&mut self, rows: &[f32]) {
        let blocks = self.width / self.block;
        let left = &mut self.values[self.done * self.block..];
        let pairs = left.chunks_exact_mut(self.block);
        for (values, x) in pairs.zip(rows.chunks_exact(self.block)) {
            let (row, place) = (self.done / blocks, self.done % blocks);
            self.scales[place * self.rows + row] = round_block(x, values);
            self.done += 1;
        }
    }
}

/// Round `rows`, `[rows, width]`: the integers, and the scales of `[width / block, rows]`.
#[cfg(test)]
fn round(rows: &[f32], width: usize, block: usize) -> (Vec<i8>, Vec<f32>) {
    let mut rounder = Rounder::new(rows.len() / width, width, block);
    rounder.push(rows);
    (rounder.values, rounder.scales)
}

/// The integers that stand for `x`, and their scale. A number that is none, or infinite, makes the scale that, too.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
fn round_block(x: &[f32], out: &mut [i8]) -> f32 {
    // Of the bits without the sign, so that NaN is more than infinity.
    let largest = x.iter().map(|x| x.abs().to_bits()).fold(0, u32::max);
    let largest = f32::from_bits(largest);
    let inverse = if largest > 0.0 {
        LARGEST / largest
    } else {
        0.0
    };
    for (out, x) in out.iter_mut().zip(x) {
        *out = (x * inverse).round_ties_even() as i8;
    }
    largest / LARGEST
}

/// Rows of `x`, rounded, with zeros where a tile or a step goes beyond them.
struct Rows {
    /// `[rows, stride]`.
    values: Vec<i8>,
    /// What the sum of a block begins with, since weights are multiplied as numbers from 0 to 255: `[rows, blocks]`.
    starts: Vec<i32>,
    /// `[rows / TILE, blocks]`, of each row as often as there are columns in a tile.
    scales: Vec<[f32; TILE * TILE]>,
    rows: usize,
    /// From one row to the next in `values`, in steps.
    stride: usize,
    blocks: usize,
}

impl Rows {
    fn new(x: &[f32], width: usize, block: usize) -> Self {
        let rows = (x.len() / width).next_multiple_of(TILE);
        let (blocks, padded) = (width / block, block.next_multiple_of(STEP));
        let stride = blocks * padded;
        let mut values = vec![0; rows * stride];
        let mut scales = vec![[0.0; TILE * TILE]; rows / TILE * blocks];
        let mut starts = vec![0; rows * blocks];
        let places = values.chunks_exact_mut(padded).zip(&mut starts);
        for (index, (x, (values, starts))) in x.chunks_exact(block).zip(places).enumerate() {
            let (row, place) = (index / blocks, index % blocks);
            let scale = round_block(x, &mut values[..block]);
            let scales = &mut scales[row / TILE * blocks + place];
            scales[row % TILE * TILE..][..TILE].fill(scale);
            *starts = start(values);
        }
        Self {
            values,
            starts,
            scales,
            rows,
            stride: stride / STEP,
            blocks,
        }
    }

    /// The rows from `row` on.
    fn tile(&self, row: usize) -> XTile<'_> {
        let (values, _) = self.values.as_chunks::<STEP>();
        let blocks = self.blocks;
        XTile {
            values: std::array::from_fn(|i| &values[(row + i) * self.stride..][..self.stride]),
            starts: std::array::from_fn(|i| &self.starts[(row + i) * blocks..][..blocks]),
            scales: &self.scales[row / TILE * blocks..][..blocks],
        }
    }
}

/// `-128 · Σ x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
fn start(values: &[i8]) -> i32 {
    -128 * values.iter().map(|&x| i32::from(x)).sum::<i32>()
}

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, into `out`, `[rows, columns]`, split between the threads of the
/// current pool.
pub(super) fn multiply(x: &[f32], weight: &Matrix<'_>, out: &mut [f32]) {
    let width = weight.width;
    let (rows, columns) = (x.len() / width, weight.rows());
    let threads = rayon::current_num_threads();
    let work = rows * weight.values.len() / MIN_WORK;
    if threads == 1 || rows >= CHUNK * threads {
        out.par_chunks_mut(CHUNK * columns)
            .zip(x.par_chunks(CHUNK * width))
            .for_each(|(out, x)| {
                let x = Rows::new(x, width, weight.block);
                product(&x, weight, 0, columns, out);
            });
        return;
    }
    let chunks = out.chunks_mut(CHUNK * columns).zip(x.chunks(CHUNK * width));
    for (out, x) in chunks {
        let x = Rows::new(x, width, weight.block);
        let parts = work.clamp(1, threads * PARTS_PER_THREAD);
        let part = columns.div_ceil(parts).next_multiple_of(TILE);
        let starts: Vec<usize> = (0..columns).step_by(part).collect();
        let products: Vec<Vec<f32>> = starts
            .par_iter()
            .map(|&first| {
                let count = part.min(columns - first);
                let mut products = vec![0.0; out.len() / columns * count];
                product(&x, weight, first, count, &mut products);
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

/// On other processors than these, no attempt is made.
#[cfg(target_arch = "x86_64")]
use safe_arch::prefetch_t1 as prefetch;

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &i8) {}

/// The product of `x` and `count` columns from `first` on, into `out`, `[rows, count]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni",
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma"
))]
fn product(x: &Rows, weight: &Matrix<'_>, first: usize, count: usize, out: &mut [f32]) {
    match_target! {
        "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni" => {
            if wide::suits(x, weight) {
                return wide::product(x, weight, first, count, out);
            }
        },
        _ => {},
    }
    let size = TILE * weight.width;
    let mut scales = Vec::new();
    for column in (first..first + count).step_by(TILE) {
        // Beyond the last column the last one again, whose products nobody takes.
        let tile = TILE.min(first + count - column);
        let columns = std::array::from_fn(|i| column + i.min(tile - 1));
        let columns = weight.tile(columns, &mut scales);
        // Several rows of the matrix at a time are a pattern that processors do not foresee.
        let later = weight.values.get((column * weight.width + AHEAD * size)..);
        for line in later.unwrap_or_default().iter().take(size).step_by(STEP) {
            prefetch(line);
        }
        for row in (0..x.rows).step_by(TILE) {
            let rows = x.tile(row);
            let sums = match_target! {
                "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni" => vnni::sums(&rows, &columns),
                _ => sums(&rows, &columns),
            };
            let out = out.chunks_exact_mut(count).skip(row);
            for (out, sums) in out.zip(&sums) {
                out[column - first..][..tile].copy_from_slice(&sums[..tile]);
            }
        }
    }
}

/// Rows of `x` in a tile.
struct XTile<'a> {
    /// Of each row the steps of all blocks.
    values: [&'a [[i8; STEP]]; TILE],
    starts: [&'a [i32]; TILE],
    /// A block after the other, each row's as often as there are columns.
    scales: &'a [[f32; TILE * TILE]],
}

/// Columns in a tile.
struct WTile<'a> {
    /// `[width]` each.
    values: [&'a [i8]; TILE],
    /// A block after the other.
    scales: &'a [[f32; TILE]],
    block: usize,
}

/// The products of all rows and columns of a tile.
#[inline(always)]
fn sums(x: &XTile<'_>, w: &WTile<'_>) -> [[f32; TILE]; TILE] {
    let steps = x.values[0].len() / w.scales.len();
    let mut sums = [[0.0; TILE]; TILE];
    for (place, (w_scales, x_scales)) in w.scales.iter().zip(x.scales).enumerate() {
        let block = place * w.block..(place + 1) * w.block;
        for ((sums, x), x_scales) in sums
            .iter_mut()
            .zip(x.values)
            .zip(x_scales.as_chunks::<TILE>().0)
        {
            let x = x[place * steps..][..steps].as_flattened();
            for (((sum, w), x_scale), w_scale) in
                sums.iter_mut().zip(w.values).zip(x_scales).zip(w_scales)
            {
                let products = x
                    .iter()
                    .zip(&w[block.clone()])
                    .map(|(&x, &w)| i32::from(x) * i32::from(w));
                let dot = products.fold(0, i32::wrapping_add);
                *sum = (dot as f32).mul_add(x_scale * w_scale, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let number =
            |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5;
        (0..count).map(number).collect()
    }

    proptest! {
        /// Against sums in f64 of the rounded numbers, in any number of threads; and rounding is by half a step at most.
        #[test]
        fn products(
            (rows, columns) in (1..90_usize, 1..40_usize),
            width in prop_oneof![1..200_usize, (1..8_usize).prop_map(|n| n * STEP)],
            threads in 1..4_usize,
            seed in any::<u32>(),
        ) {
            let (x, weight) = (numbers(rows * width, seed), numbers(columns * width, !seed));
            let block = block(width);
            let rounded = |numbers: &[f32]| {
                let (values, scales) = round(numbers, width, block);
                let matrix = Matrix { values: &values, scales: &scales, width, block };
                let mut wide = Vec::new();
                matrix.widen(0..matrix.rows(), &mut wide);
                for (numbers, wide) in numbers.chunks(block).zip(wide.chunks(block)) {
                    let largest = numbers.iter().fold(0.0, |top: f32, x| top.max(x.abs()));
                    for (number, wide) in numbers.iter().zip(wide) {
                        assert!((number - wide).abs() <= largest / LARGEST * 0.501, "{number} {wide}");
                    }
                }
                (values, scales, wide)
            };
            let (_, _, wide_x) = rounded(&x);
            let (values, scales, wide) = rounded(&weight);
            let matrix = Matrix { values: &values, scales: &scales, width, block };
            let mut out = vec![f32::NAN; rows * columns];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| multiply(&x, &matrix, &mut out));
            for (x, out) in wide_x.chunks(width).zip(out.chunks(columns)) {
                for (weight, &out) in wide.chunks(width).zip(out) {
                    let product = |(&x, &w): (&f32, &f32)| f64::from(x) * f64::from(w);
                    let sum: f64 = x.iter().zip(weight).map(product).sum();
                    prop_assert!((sum - f64::from(out)).abs() < 1e-4, "{sum} {out}");
                }
            }
        }

        /// What processors without the instructions compute is the same, bit by bit.
        #[test]
        fn plain_loops(rows in 1..9_usize, columns in 1..9_usize, steps in 1..6_usize, seed in any::<u32>()) {
            let width = steps * STEP;
            let (x, weight) = (numbers(rows * width, seed), numbers(columns * width, !seed));
            let (values, scales) = round(&weight, width, block(width));
            let matrix = Matrix { values: &values, scales: &scales, width, block: block(width) };
            let mut out = vec![0.0; rows * columns];
            multiply(&x, &matrix, &mut out);
            let x = Rows::new(&x, width, matrix.block);
            for (row, out) in out.chunks(columns).enumerate() {
                for (column, &out) in out.iter().enumerate() {
                    let mut scales = Vec::new();
                    let tile = matrix.tile([column; TILE], &mut scales);
                    let plain = sums(&x.tile(row / TILE * TILE), &tile)[row % TILE][0];
                    prop_assert_eq!(plain.to_bits(), out.to_bits());
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_lost() {
        let (values, scales) = round(&[1.0; STEP], STEP, STEP);
        let matrix = Matrix {
            values: &values,
            scales: &scales,
            width: STEP,
            block: STEP,
        };
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [0.5; 2 * STEP];
            x[3] = wrong;
            let mut out = [0.0; 2];
            multiply(&x, &matrix, &mut out);
            assert!(
                !out[0].is_finite() && out[1] == STEP as f32 * 0.5,
                "{wrong}: {out:?}"
            );
        }
    }
}
