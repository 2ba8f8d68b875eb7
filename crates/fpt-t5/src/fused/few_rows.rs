//! Products of a few rows and a large matrix: a token of each text in generation, short targets in training.

use std::slice::Chunks;

use burn::tensor::bf16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows up to which [`multiply`] was faster than a general product, on x86-64.
const FEW_ROWS: usize = 64;
/// Elements of the matrix beyond which it was: 256 KB of them.
const LARGE: usize = 1 << 16;

/// Whether [`multiply`] is the fastest way to multiply so many rows by a matrix of so many elements.
pub(super) fn suits(rows: usize, elements: usize) -> bool {
    rows <= FEW_ROWS && elements > LARGE
}

/// Rows of `x` in a tile, at most.
const TILE_ROWS: usize = 4;
/// Columns of the product in a tile, at most: with [`TILE_ROWS`], as many sums as registers hold.
const TILE_COLUMNS: usize = 3;
/// Tiles between one that is fetched and the one that is multiplied.
const AHEAD: usize = 2;
/// Vectors of a row between two fetches.
const STEP: usize = 8;
/// Bytes in a line of the cache.
const LINE: usize = 64;
/// Parts of the columns for each thread, at most: the second thread may come late.
const PARTS_PER_THREAD: usize = 4;
/// Multiplications in a part, at least: fewer are done before another thread wakes up.
const MIN_WORK: usize = 1 << 16;
/// Elements between two rows of `x`: rows a power of two apart would share a few lines of the cache.
const GAP: usize = 16;

/// A number of a matrix, as it is stored.
pub(super) trait Stored: Copy + Sync {
    /// Some as they are multiplied, if need be in `place`.
    fn widened<'a>(numbers: &'a [Self], place: &'a mut Vec<f32>) -> &'a [f32];
}

impl Stored for f32 {
    fn widened<'a>(numbers: &'a [Self], _place: &'a mut Vec<f32>) -> &'a [f32] {
        numbers
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widened<'a>(numbers: &'a [Self], place: &'a mut Vec<f32>) -> &'a [f32] {
        let widened = |number: &Self| f32::from_bits(u32::from(number.to_bits()) << 16);
        place.clear();
        place.extend(numbers.iter().map(widened));
        place
    }
}

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, and `weight`, `[columns, width]`, into `out`, `[rows, columns]`.
///
/// Every number of the result is a scalar product. A general product would bring the matrix into the order of its tiles
/// first, which takes longer than to use it for a few rows; here it is read as it lies. The columns are split between
/// the threads of the current pool.
pub(super) fn multiply<W: Stored>(x: &[f32], width: usize, weight: &[W], out: &mut [f32]) {
    let (rows, columns) = (x.len() / width, weight.len() / width);
    let stride = width + GAP;
    let mut spread = vec![0.0; rows * stride];
    for (spread, x) in spread.chunks_exact_mut(stride).zip(x.chunks_exact(width)) {
        spread[..width].copy_from_slice(x);
    }
    let arch = Arch::new();
    let parts = match rayon::current_num_threads() {
        1 => 1,
        threads => (rows * weight.len() / MIN_WORK).clamp(1, threads * PARTS_PER_THREAD),
    };
    let part = columns.div_ceil(parts).next_multiple_of(TILE_COLUMNS);
    // `[columns, rows]`: threads write to parts of their own, and not to lines that are a power of two apart.
    let mut products = vec![0.0; columns * rows];
    products
        .par_chunks_mut(part * rows)
        .zip(weight.par_chunks(part * width))
        .for_each(|(out, weight)| {
            arch.dispatch(Product {
                x: &spread,
                stride,
                width,
                weight,
                rows,
                out,
            });
        });
    for (row, out) in out.chunks_exact_mut(columns).enumerate() {
        for (out, products) in out.iter_mut().zip(products.chunks_exact(rows)) {
            *out = products[row];
        }
    }
}

struct Product<'a, W> {
    /// Rows that begin `stride` apart.
    x: &'a [f32],
    stride: usize,
    width: usize,
    weight: &'a [W],
    rows: usize,
    /// `[columns, rows]`.
    out: &'a mut [f32],
}

impl<W: Stored> WithSimd for Product<'_, W> {
    type Output = ();

    /// All rows of `x` meet a few rows of the matrix before the next ones come. Meanwhile lines of later ones are
    /// fetched: several rows of the matrix at a time are a pattern that processors do not foresee.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (width, rows) = (self.width, self.rows);
        let size = TILE_COLUMNS * width;
        let line = LINE / size_of::<W>();
        let steps = rows.div_ceil(TILE_ROWS) * width.div_ceil(STEP * S::F32_LANES);
        let lines_per_step = size.div_ceil(line).div_ceil(steps);
        let tiles = self
            .weight
            .chunks(size)
            .zip(self.out.chunks_mut(TILE_COLUMNS * rows));
        let mut place = Vec::new();
        for (index, (weights, out)) in tiles.enumerate() {
            let later = self
                .weight
                .get((index + AHEAD) * size..)
                .unwrap_or_default();
            let weights = W::widened(weights, &mut place);
            let mut lines = later[..later.len().min(size)].chunks(line);
            for first in (0..rows).step_by(TILE_ROWS) {
                let tile = Tile {
                    x: &self.x[first * self.stride..],
                    stride: self.stride,
                    width,
                    weights,
                    lines: &mut lines,
                    lines_per_step,
                    out: &mut out[first..],
                    rows,
                };
                match rows - first {
                    1 => tile.multiply::<S, 1>(simd),
                    2 => tile.multiply::<S, 2>(simd),
                    3 => tile.multiply::<S, 3>(simd),
                    _ => tile.multiply::<S, TILE_ROWS>(simd),
                }
            }
        }
    }
}

/// Some rows of `x` and some of the matrix.
struct Tile<'a, 'b, W> {
    x: &'a [f32],
    stride: usize,
    width: usize,
    /// `[TILE_COLUMNS, width]`, or fewer rows at the end of the matrix.
    weights: &'a [f32],
    /// What to fetch into the cache meanwhile.
    lines: &'a mut Chunks<'b, W>,
    lines_per_step: usize,
    /// `[TILE_COLUMNS, rows]`, of which the first `R` columns are this tile's.
    out: &'a mut [f32],
    rows: usize,
}

impl<W> Tile<'_, '_, W> {
    #[inline(always)]
    fn multiply<S: Simd, const R: usize>(self, simd: S) {
        let x = std::array::from_fn(|i| &self.x[i * self.stride..][..self.width]);
        let mut fetch = || {
            for line in self.lines.take(self.lines_per_step) {
                prefetch(&line[0]);
            }
        };
        let mut weights = self.weights.chunks_exact(self.width);
        let out = self.out.chunks_mut(self.rows);
        if weights.len() == TILE_COLUMNS {
            let weights = std::array::from_fn(|_| weights.next().unwrap_or_default());
            for (out, sums) in out.zip(dots::<S, R, TILE_COLUMNS>(simd, x, weights, fetch)) {
                out[..R].copy_from_slice(&sums);
            }
        } else {
            for (out, weight) in out.zip(weights) {
                let [sums] = dots::<S, R, 1>(simd, x, [weight], &mut fetch);
                out[..R].copy_from_slice(&sums);
            }
        }
    }
}

/// The scalar products of `W` rows of the matrix and `R` rows of `x`; `fetch` is called every few vectors.
#[inline(always)]
fn dots<S: Simd, const R: usize, const W: usize>(
    simd: S,
    x: [&[f32]; R],
    weights: [&[f32]; W],
    mut fetch: impl FnMut(),
) -> [[f32; R]; W] {
    let (rows, weights) = (x.map(S::as_simd_f32s), weights.map(S::as_simd_f32s));
    let vectors = weights[0].0.len();
    let x = rows.map(|(x, _)| &x[..vectors]);
    let w = weights.map(|(w, _)| &w[..vectors]);
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    for i in 0..vectors {
        if i % STEP == 0 {
            fetch();
        }
        let w = w.map(|w| w[i]);
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = x[i];
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum = simd.mul_add_f32s(w, x, *sum);
            }
        }
    }
    let mut products = [[0.0; R]; W];
    for (weight, products) in products.iter_mut().enumerate() {
        for (row, product) in products.iter_mut().enumerate() {
            let tail = weights[weight].1.iter().zip(rows[row].1);
            *product =
                simd.reduce_sum_f32s(sums[row][weight]) + tail.map(|(w, x)| w * x).sum::<f32>();
        }
    }
    products
}

/// On other processors than these, no attempt is made.
#[cfg(target_arch = "x86_64")]
use safe_arch::prefetch_t1 as prefetch;

#[cfg(not(target_arch = "x86_64"))]
fn prefetch<W>(_: &W) {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::fused::tests::number;

    proptest! {
        /// Against sums in f64, in any number of threads.
        #[test]
        fn products(
            (rows, width, columns) in (1..30_usize, 1..300_usize, 1..90_usize),
            threads in 1..4_usize,
            seed in any::<u32>(),
        ) {
            let number = |i: usize| number(i, seed);
            let x: Vec<f32> = (0..rows * width).map(number).collect();
            let weight: Vec<f32> = (0..columns * width).map(|i| number(i + x.len())).collect();
            let mut out = vec![f32::NAN; rows * columns];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| super::multiply(&x, width, &weight, &mut out));
            for (x, out) in x.chunks(width).zip(out.chunks(columns)) {
                for (weight, &out) in weight.chunks(width).zip(out) {
                    let product = |(&x, &w): (&f32, &f32)| f64::from(x) * f64::from(w);
                    let sum: f64 = x.iter().zip(weight).map(product).sum();
                    prop_assert!((sum - f64::from(out)).abs() < 1e-5, "{sum} {out}");
                }
            }
        }
    }
}
