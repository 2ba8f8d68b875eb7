//! Products of a few rows and a large matrix, as generation needs them for a token of each text.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Up to so many rows, a product waits for its matrix and not for its arithmetic,
const FEW_ROWS: usize = 64;
/// if the matrix is too large for the cache.
const LARGE: usize = 1 << 16;

/// Rows of `x` in a tile, at most.
const ROWS: usize = 4;
/// Rows of the matrix in a tile: with [`ROWS`], as many sums as registers hold.
const WEIGHTS: usize = 3;
/// How far ahead of its use the matrix is fetched, in tiles.
const AHEAD: usize = 2;
/// Vectors of a row between two fetches.
const STEP: usize = 8;
/// Numbers in a line of the cache.
const LINE: usize = 16;
/// Parts of the columns a thread, at most: the second thread may come late.
const PARTS: usize = 4;
/// Multiplications in a part, at least: fewer are done before another thread wakes up.
const PART: usize = 1 << 16;
/// Rows that lie a power of two apart would share a few lines of the cache.
const GAP: usize = 16;

/// Whether [`multiply`] is the fastest way to multiply so many rows by a matrix of so many elements.
pub fn suits(rows: usize, elements: usize) -> bool {
    rows <= FEW_ROWS && elements > LARGE
}

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, and `weight`, `[columns, width]`, into `out`, `[rows, columns]`.
///
/// Every number of the result is a scalar product. A general product would bring the matrix into the order of its tiles
/// first, which takes longer than to use it once; here it streams from memory as it lies. The columns are split between
/// the threads of the current pool.
pub fn multiply(x: &[f32], width: usize, weight: &[f32], out: &mut [f32]) {
    let (rows, columns) = (x.len() / width, weight.len() / width);
    let stride = width + GAP;
    let mut spread = vec![0.0; rows * stride];
    for (spread, x) in spread.chunks_exact_mut(stride).zip(x.chunks_exact(width)) {
        spread[..width].copy_from_slice(x);
    }
    let arch = Arch::new();
    let parts = match rayon::current_num_threads() {
        1 => 1,
        threads => (rows * weight.len() / PART).clamp(1, threads * PARTS),
    };
    let chunk = columns.div_ceil(parts).next_multiple_of(WEIGHTS);
    // `[columns, rows]`: threads write to parts of their own, and not to lines that are a power of two apart.
    let mut products = vec![0.0; columns * rows];
    products
        .par_chunks_mut(chunk * rows)
        .zip(weight.par_chunks(chunk * width))
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

struct Product<'a> {
    /// Rows that begin `stride` apart.
    x: &'a [f32],
    stride: usize,
    width: usize,
    weight: &'a [f32],
    rows: usize,
    /// `[columns, rows]`.
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    /// All rows meet one tile of the matrix before the next one comes, and each pass over it fetches a share of a tile
    /// further on: several rows of the matrix at a time are a pattern that processors do not foresee.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (weight, width, rows) = (self.weight, self.width, self.rows);
        let tile = WEIGHTS * width;
        let tiles = weight.chunks(tile).zip(self.out.chunks_mut(WEIGHTS * rows));
        for (index, (weights, out)) in tiles.enumerate() {
            let later = weight.get((index + AHEAD) * tile..).unwrap_or_default();
            let later = &later[..later.len().min(tile)];
            let share = later.len().div_ceil(rows.div_ceil(ROWS));
            for (pass, first) in (0..rows).step_by(ROWS).enumerate() {
                let part = Part {
                    x: &self.x[first * self.stride..],
                    stride: self.stride,
                    width,
                    weights,
                    fetch: later.chunks(share.max(1)).nth(pass).unwrap_or_default(),
                    out: &mut out[first..],
                    rows,
                };
                match rows - first {
                    1 => part.multiply::<S, 1>(simd),
                    2 => part.multiply::<S, 2>(simd),
                    3 => part.multiply::<S, 3>(simd),
                    _ => part.multiply::<S, ROWS>(simd),
                }
            }
        }
    }
}

/// A tile: some rows of `x` and some of the matrix.
struct Part<'a> {
    x: &'a [f32],
    stride: usize,
    width: usize,
    /// `[WEIGHTS, width]`, or fewer at the end of the matrix.
    weights: &'a [f32],
    /// What to fetch into the cache meanwhile.
    fetch: &'a [f32],
    /// `[WEIGHTS, rows]`, of which the first `R` columns are this tile's.
    out: &'a mut [f32],
    rows: usize,
}

impl Part<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const R: usize>(self, simd: S) {
        let rows = std::array::from_fn(|i| &self.x[i * self.stride..][..self.width]);
        let mut weights = self.weights.chunks_exact(self.width);
        let out = self.out.chunks_mut(self.rows);
        if weights.len() == WEIGHTS {
            let weights = std::array::from_fn(|_| weights.next().unwrap_or_default());
            for (out, sums) in out.zip(dots::<S, R, WEIGHTS>(simd, rows, weights, self.fetch)) {
                out[..R].copy_from_slice(&sums);
            }
        } else {
            for (out, weight) in out.zip(weights) {
                let [sums] = dots::<S, R, 1>(simd, rows, [weight], &[]);
                out[..R].copy_from_slice(&sums);
            }
        }
    }
}

/// The scalar products of `W` weights and `R` rows.
#[inline(always)]
fn dots<S: Simd, const R: usize, const W: usize>(
    simd: S,
    rows: [&[f32]; R],
    weights: [&[f32]; W],
    fetch: &[f32],
) -> [[f32; R]; W] {
    let (rows, weights) = (rows.map(S::as_simd_f32s), weights.map(S::as_simd_f32s));
    let vectors = weights[0].0.len();
    let x = rows.map(|(x, _)| &x[..vectors]);
    let w = weights.map(|(w, _)| &w[..vectors]);
    let per_step = fetch.len().div_ceil(vectors.div_ceil(STEP).max(1));
    let mut fetches = fetch.chunks(per_step.next_multiple_of(LINE).max(1));
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    for i in 0..vectors {
        if i % STEP == 0 {
            for line in fetches.next().unwrap_or_default().chunks(LINE) {
                prefetch(&line[0]);
            }
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

#[cfg(target_arch = "x86_64")]
use safe_arch::prefetch_t1 as prefetch;

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &f32) {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        /// Against sums in f64, in any number of threads.
        #[test]
        fn products(
            (rows, width, columns) in (1..30_usize, 1..300_usize, 1..90_usize),
            threads in 1..4_usize,
            seed in any::<u32>(),
        ) {
            let number = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5;
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
