//! Matrix products on parts of slices.

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// Where it lies.
    pub data: &'a [f32],
    /// Its first element.
    pub offset: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// From one row to the next, and from one column to the next.
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// One whose rows follow each other.
    pub fn contiguous(data: &'a [f32], size: [usize; 2]) -> Self {
        Self {
            data,
            offset: 0,
            size,
            strides: [size[1], 1],
        }
    }

    /// Rows as columns.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.size, self.strides);
        Self {
            size: [columns, rows],
            strides: [column, row],
            ..self
        }
    }

    fn fits(&self) -> bool {
        fits(self.data.len(), self.offset, self.size, self.strides)
    }
}

fn fits(length: usize, offset: usize, size: [usize; 2], strides: [usize; 2]) -> bool {
    let steps = |i: usize| (size[i] - 1).checked_mul(strides[i]);
    let last = steps(0)
        .zip(steps(1))
        .and_then(|(rows, columns)| offset.checked_add(rows)?.checked_add(columns));
    last.is_some_and(|last| last < length)
}

/// Products of fewer multiply-accumulates than this are not worth a second thread.
const PARALLEL: usize = 192 * 192 * 192;

/// The product of `a` and `b` into a part of `out` that begins at `offset` and has rows `row_stride` apart.
pub fn multiply(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], offset: usize, row_stride: usize) {
    product(a, b, out, offset, row_stride, gemm::Parallelism::None);
}

/// [`multiply`], split between the threads of the current pool.
pub fn multiply_in_parallel(
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
    offset: usize,
    row_stride: usize,
) {
    let work = a.size[0]
        .saturating_mul(a.size[1])
        .saturating_mul(b.size[1]);
    let parallelism = match work < PARALLEL || rayon::current_num_threads() == 1 {
        true => gemm::Parallelism::None,
        false => gemm::Parallelism::Rayon(0),
    };
    product(a, b, out, offset, row_stride, parallelism);
}

fn product(
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
    offset: usize,
    row_stride: usize,
    parallelism: gemm::Parallelism,
) {
    let [m, k] = a.size;
    let n = b.size[1];
    assert_eq!(b.size[0], k, "the inner sizes of a matrix product");
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(
        a.fits() && b.fits() && fits(out.len(), offset, [m, n], [row_stride, 1]),
        "a matrix lies outside of its slice"
    );
    // SAFETY: all elements that gemm reads and writes lie in the slices, as asserted; `out` is borrowed
    // mutably, so it overlaps neither `a` nor `b`; it is not read, since `read_dst` is false.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().add(offset),
            1,
            row_stride as isize,
            false,
            a.data.as_ptr().add(a.offset),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.data.as_ptr().add(b.offset),
            b.strides[1] as isize,
            b.strides[0] as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
