//! Matrix products on parts of slices. The products are `faer`'s, one thread each.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// `data` as a matrix of `size`, rows and columns; one of the `strides`, from one row to the next and from one column to
/// the next, is 1, unless there is only one row or column.
pub(super) fn matrix(data: &[f32], size: [usize; 2], strides: [usize; 2]) -> MatRef<'_, f32> {
    let ([rows, columns], [row, column]) = (size, strides);
    if column == 1 || columns == 1 {
        MatRef::from_row_major_slice_with_stride(data, rows, columns, row)
    } else {
        assert!(
            row == 1 || rows == 1,
            "a matrix without dense rows or columns"
        );
        MatRef::from_column_major_slice_with_stride(data, rows, columns, column)
    }
}

/// A matrix whose rows follow each other.
pub(super) fn contiguous(data: &[f32], size: [usize; 2]) -> MatRef<'_, f32> {
    matrix(data, size, [size[1], 1])
}

/// The product of `a` and `b` into the first part of `out`, whose rows are `row_stride` apart.
pub(super) fn multiply(a: MatRef<'_, f32>, b: MatRef<'_, f32>, out: &mut [f32], row_stride: usize) {
    multiply_and(Accum::Replace, a, b, out, row_stride);
}

/// [`multiply`], in the place of what is there, or added to it.
pub(super) fn multiply_and(
    how: Accum,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    out: &mut [f32],
    row_stride: usize,
) {
    let (rows, columns) = (a.nrows(), b.ncols());
    // Not `from_row_major_slice_with_stride_mut`, which in faer 0.24 takes the stride for that of columns.
    let out = MatMut::from_column_major_slice_with_stride_mut(out, columns, rows, row_stride);
    matmul(out.transpose_mut(), how, a, b, 1.0, Par::Seq);
}
