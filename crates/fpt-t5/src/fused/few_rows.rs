//! Products of a few rows and a large matrix, as generation needs them for a token of each text.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Up to so many rows, a product reads its matrix once, in the order in which it lies.
pub const FEW_ROWS: usize = 16;

/// Rows that go through a part of the matrix together: their sums stay in registers.
const TOGETHER: usize = 4;
/// The longest piece of rows that is multiplied at a time: with those of [`TOGETHER`] rows it stays in the innermost
/// cache.
const PIECE: usize = 512;
/// Rows of the matrix between two pieces.
const BLOCK: usize = 16;
/// Parts of the columns a thread.
const PARTS: usize = 4;
/// Rows that lie a power of two apart would share a few lines of the cache.
const GAP: usize = 16;

/// `x · weightᵀ` of contiguous `x`, `[rows, width]`, and `weight`, `[columns, width]`, into `out`, `[rows, columns]`.
///
/// Every number of the result is a scalar product. `gemm`'s tiles would go through the matrix in strips, and so through
/// all of its pages many times; here it streams from memory once. The columns are split between the threads of the
/// current pool.
pub fn multiply(x: &[f32], width: usize, weight: &[f32], out: &mut [f32]) {
    let (rows, columns) = (x.len() / width, weight.len() / width);
    let stride = width + GAP;
    let mut spread = vec![0.0; rows * stride];
    for (spread, x) in spread.chunks_exact_mut(stride).zip(x.chunks_exact(width)) {
        spread[..width].copy_from_slice(x);
    }
    let arch = Arch::new();
    // Several parts a thread: the second thread may come late.
    let parts = match rayon::current_num_threads() {
        1 => 1,
        threads => threads * PARTS,
    };
    let chunk = columns.div_ceil(parts).next_multiple_of(BLOCK);
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
    /// `[columns, rows]`, zeros.
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.weight.chunks(BLOCK * self.width);
        for (weight, out) in blocks.zip(self.out.chunks_mut(BLOCK * self.rows)) {
            for start in (0..self.width).step_by(PIECE) {
                let end = (start + PIECE).min(self.width);
                let weights = weight.chunks_exact(self.width);
                for (weight, out) in weights.zip(out.chunks_exact_mut(self.rows)) {
                    let weight = &weight[start..end];
                    let row = |row: usize| &self.x[row * self.stride..][start..end];
                    let mut first = 0;
                    for out in out.chunks_mut(TOGETHER) {
                        match out {
                            [_, _, _, _] => dots::<S, 4>(simd, |i| row(first + i), weight, out),
                            [_, _, _] => dots::<S, 3>(simd, |i| row(first + i), weight, out),
                            [_, _] => dots::<S, 2>(simd, |i| row(first + i), weight, out),
                            _ => dots::<S, 1>(simd, |i| row(first + i), weight, out),
                        }
                        first += TOGETHER;
                    }
                }
            }
        }
    }
}

/// Adds the scalar products of `R` rows and `weight` to `out`.
#[inline(always)]
fn dots<'a, S: Simd, const R: usize>(
    simd: S,
    row: impl Fn(usize) -> &'a [f32],
    weight: &[f32],
    out: &mut [f32],
) {
    let (weight, last) = S::as_simd_f32s(weight);
    let rows: [_; R] = std::array::from_fn(|i| S::as_simd_f32s(row(i)));
    let bodies = rows.map(|(body, _)| &body[..weight.len()]);
    let mut sums = [simd.splat_f32s(0.0); R];
    for (i, &w) in weight.iter().enumerate() {
        for (sum, x) in sums.iter_mut().zip(bodies) {
            *sum = simd.mul_add_f32s(w, x[i], *sum);
        }
    }
    for ((out, sum), (_, tail)) in out.iter_mut().zip(sums).zip(rows) {
        let tail: f32 = last.iter().zip(tail).map(|(w, x)| w * x).sum();
        *out += simd.reduce_sum_f32s(sum) + tail;
    }
}
