//! Products with a matrix of so few columns that a vector or two have a row of it: heads of small models. A general
//! product would bring such a matrix into the order of its tiles, which are wider than it is.
//!
//! Plain loops: closures may not be inlined, and are not compiled for the processor then.
#![allow(clippy::needless_range_loop)]

use faer::Accum;
use pulp::{Arch, Simd, with_simd};

use super::matrix::View;

/// Columns, at most.
const COLUMNS: usize = 16;
/// Rows that are summed at once, where columns of `a` are dense.
const HIGH: usize = 8;
/// Where rows are: there is a register for the place in each.
const HIGH_OF_ROWS: usize = 6;

/// Whether [`multiply`] is the fastest way to multiply by `b`.
pub(super) fn suits(b: View<'_>) -> bool {
    let [_, columns] = b.size;
    columns <= COLUMNS && b.strides[1] == 1
}

/// The product of `a` and `b` into the first part of `out`, whose rows are `row_stride` apart. Sums are in the order of
/// `b`'s rows, however many rows `a` has.
#[with_simd(multiply = Arch::new())]
#[inline(always)]
pub(super) fn multiply_of<S: Simd>(
    simd: S,
    how: Accum,
    a: View<'_>,
    b: View<'_>,
    out: &mut [f32],
    row_stride: usize,
) {
    let ([rows, _], [_, columns]) = (a.size, b.size);
    let high = if a.strides[1] == 1 {
        HIGH_OF_ROWS
    } else {
        HIGH
    };
    let mut place = 0;
    while place < columns {
        let width = S::F32_LANES.min(columns - place);
        let b = Part {
            data: &b.data[place..],
            stride: b.strides[0],
            width,
        };
        let mut first = 0;
        while first < rows {
            let out = &mut out[first * row_stride + place..];
            let left = high.min(rows - first);
            let a = a.rows(first, left);
            first += match left {
                HIGH.. => tile::<S, HIGH>(simd, how, a, b, out, row_stride),
                HIGH_OF_ROWS.. => tile::<S, HIGH_OF_ROWS>(simd, how, a, b, out, row_stride),
                4.. => tile::<S, 4>(simd, how, a, b, out, row_stride),
                2.. => tile::<S, 2>(simd, how, a, b, out, row_stride),
                _ => tile::<S, 1>(simd, how, a, b, out, row_stride),
            };
        }
        place += width;
    }
}

/// As many columns as a vector has, or fewer.
#[derive(Clone, Copy)]
struct Part<'a> {
    data: &'a [f32],
    stride: usize,
    width: usize,
}

/// The first rows of the product. Returns how many.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize>(
    simd: S,
    how: Accum,
    a: View<'_>,
    b: Part<'_>,
    out: &mut [f32],
    row_stride: usize,
) -> usize {
    let depth = a.size[1];
    let mut sums = [simd.splat_f32s(0.0); ROWS];
    // A vector may take what follows a row of `b` along, if anything does: nothing comes of it.
    let last = b.data.len().checked_sub(S::F32_LANES);
    let whole = last.map_or(0, |last| depth.min(last / b.stride + 1));
    let mut b_rows = b.data;
    if a.strides[1] == 1 {
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for i in 0..ROWS {
            rows[i] = &a.data[i * a.strides[0]..][..whole];
        }
        for k in 0..whole {
            let b_row = S::as_simd_f32s(&b_rows[..S::F32_LANES]).0[0];
            b_rows = b_rows.get(b.stride..).unwrap_or_default();
            for i in 0..ROWS {
                sums[i] = simd.mul_add_f32s(simd.splat_f32s(rows[i][k]), b_row, sums[i]);
            }
        }
    } else {
        for column in a.data.chunks(a.strides[1]).take(whole) {
            let b_row = S::as_simd_f32s(&b_rows[..S::F32_LANES]).0[0];
            b_rows = b_rows.get(b.stride..).unwrap_or_default();
            let column = &column[..ROWS];
            for i in 0..ROWS {
                sums[i] = simd.mul_add_f32s(simd.splat_f32s(column[i]), b_row, sums[i]);
            }
        }
    }
    for k in whole..depth {
        let b = simd.partial_load_f32s(&b.data[k * b.stride..][..b.width]);
        for i in 0..ROWS {
            let a = a.data[i * a.strides[0] + k * a.strides[1]];
            sums[i] = simd.mul_add_f32s(simd.splat_f32s(a), b, sums[i]);
        }
    }
    for i in 0..ROWS {
        let out = &mut out[i * row_stride..][..b.width];
        if matches!(how, Accum::Add) {
            sums[i] = simd.add_f32s(simd.partial_load_f32s(out), sums[i]);
        }
        simd.partial_store_f32s(out, sums[i]);
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fused::tests::number;

    proptest! {
        /// Against sums in f64, of rows and columns of larger matrices.
        #[test]
        fn products(
            (rows, depth, columns) in (1..40_usize, 1..60_usize, 1..=COLUMNS),
            (a_gap, b_gap, gap) in (0..3_usize, 0..3_usize, 0..3_usize),
            (is_transposed, adds) in any::<(bool, bool)>(),
            seed in any::<u32>(),
        ) {
            let number = |i: usize| number(i, seed);
            let numbers = |count: usize, from: usize| (from..from + count).map(number).collect::<Vec<f32>>();
            let strides = if is_transposed { [1, rows + a_gap] } else { [depth + a_gap, 1] };
            // Nothing is read beyond the last number.
            let a = numbers((rows - 1) * strides[0] + (depth - 1) * strides[1] + 1, 0);
            let b_stride = columns + b_gap;
            let b = numbers((depth - 1) * b_stride + columns, 7000);
            let stride = columns + gap;
            let before = numbers((rows - 1) * stride + columns, 9000);
            let mut out = before.clone();
            let a_view = View::new(&a, [rows, depth], strides);
            let b_view = View::new(&b, [depth, columns], [b_stride, 1]);
            prop_assert!(suits(b_view));
            let how = if adds { Accum::Add } else { Accum::Replace };
            multiply(how, a_view, b_view, &mut out, stride);
            for (place, (&out, &before)) in out.iter().zip(&before).enumerate() {
                let (row, column) = (place / stride, place % stride);
                if column >= columns {
                    prop_assert_eq!(out, before);
                    continue;
                }
                let product = |k: usize| {
                    let a = a[row * strides[0] + k * strides[1]];
                    f64::from(a) * f64::from(b[k * b_stride + column])
                };
                let start = if adds { f64::from(before) } else { 0.0 };
                let exact = start + (0..depth).map(product).sum::<f64>();
                prop_assert!((f64::from(out) - exact).abs() < 1e-5, "{out} {exact}");
            }
        }
    }
}
