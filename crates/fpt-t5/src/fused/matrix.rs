//! Matrix products on parts of slices, one thread each: `faer`'s, or [`narrow`]'s.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::narrow;

/// Weights that are made f32 at a time: a quarter of a cache that only one thread uses.
pub(super) const WIDENED: usize = 1 << 16;

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    /// Rows and columns.
    pub(super) size: [usize; 2],
    /// From one row to the next, and from one column to the next; one of these is 1, unless there is only one row or column.
    pub(super) strides: [usize; 2],
}

impl<'a> View<'a> {
    /// `data` as a matrix of `size`, rows and columns, which are `strides` apart.
    pub(super) fn new(data: &'a [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        let is_dense = |dim: usize| strides[dim] == 1 || size[dim] == 1;
        assert!(
            is_dense(0) || is_dense(1),
            "a matrix without dense rows or columns"
        );
        Self {
            data,
            size,
            strides,
        }
    }

    /// A matrix whose rows follow each other.
    pub(super) fn contiguous(data: &'a [f32], size: [usize; 2]) -> Self {
        Self::new(data, size, [size[1], 1])
    }

    pub(super) fn transpose(self) -> Self {
        let ([rows, columns], [row, column]) = (self.size, self.strides);
        Self {
            size: [columns, rows],
            strides: [column, row],
            ..self
        }
    }

    /// So many rows from `first` on.
    pub(super) fn rows(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.strides[0]..],
            size: [count, self.size[1]],
            ..self
        }
    }

    fn faer(self) -> MatRef<'a, f32> {
        let ([rows, columns], [row, column]) = (self.size, self.strides);
        if column == 1 || columns == 1 {
            MatRef::from_row_major_slice_with_stride(self.data, rows, columns, row)
        } else {
            MatRef::from_column_major_slice_with_stride(self.data, rows, columns, column)
        }
    }
}

/// The product of `a` and `b` into the first part of `out`, whose rows are `row_stride` apart.
pub(super) fn multiply(a: View<'_>, b: View<'_>, out: &mut [f32], row_stride: usize) {
    multiply_and(Accum::Replace, a, b, out, row_stride);
}

/// [`multiply`], in the place of what is there, or added to it.
pub(super) fn multiply_and(
    how: Accum,
    a: View<'_>,
    b: View<'_>,
    out: &mut [f32],
    row_stride: usize,
) {
    if narrow::suits(b) {
        return narrow::multiply(how, a, b, out, row_stride);
    }
    let (rows, columns) = (a.size[0], b.size[1]);
    // Not `from_row_major_slice_with_stride_mut`, which in faer 0.24 takes the stride for that of columns.
    let out = MatMut::from_column_major_slice_with_stride_mut(out, columns, rows, row_stride);
    matmul(out.transpose_mut(), how, a.faer(), b.faer(), 1.0, Par::Seq);
}

/// The product of contiguous `x`, `[rows, columns]`, and a weight, `[columns, width]`, of which `widen` puts some rows into a
/// place, into `out`, `[rows, width]`.
pub(super) fn multiply_widened(
    mut how: Accum,
    x: &[f32],
    [columns, width]: [usize; 2],
    widen: impl Fn(Range<usize>, &mut Vec<f32>),
    out: &mut [f32],
) {
    let rows = x.len() / columns;
    let at_once = (WIDENED / width.max(1)).max(1);
    let mut place = Vec::new();
    for first in (0..columns).step_by(at_once) {
        let count = at_once.min(columns - first);
        widen(first..first + count, &mut place);
        let weight = View::contiguous(&place, [count, width]);
        let x = View::new(&x[first..], [rows, count], [columns, 1]);
        multiply_and(how, x, weight, out, width);
        how = Accum::Add;
    }
}
