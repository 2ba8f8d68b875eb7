//! As `vnni`, for many rows: a lane adds up a column, so that nothing is added across lanes, once the columns are in that
//! order.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_mul_ps,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_i32x4,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    _mm512_xor_si512,
};

use bytemuck::{Zeroable, cast};

use super::{LANES, Matrix, Rows, STEP, TILE};

/// Rows from which on ordering columns is worth it.
const MANY: usize = 8;
/// Rows in a tile.
const HIGH: usize = 8;
/// Columns in a tile.
const WIDE: usize = 2 * LANES;

/// Whether [`product`] is the fastest way.
pub(super) fn suits(x: &Rows, weight: &Matrix<'_>) -> bool {
    x.rows >= MANY && weight.block.is_multiple_of(STEP)
}

/// [`super::product`], if it [`suits`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
pub(super) fn product(x: &Rows, weight: &Matrix<'_>, first: usize, count: usize, out: &mut [f32]) {
    let mut packed = vec![[0_i32; WIDE]; weight.width / 4];
    let mut scales = vec![[0.0; WIDE]; x.blocks];
    for column in (first..first + count).step_by(WIDE) {
        let columns = WIDE.min(first + count - column);
        pack(weight, column, columns, &mut packed);
        let all = weight.scales.chunks_exact(weight.rows());
        for (scales, all) in scales.iter_mut().zip(all) {
            scales[..columns].copy_from_slice(&all[column..][..columns]);
        }
        let mut row = 0;
        while row < x.rows {
            let place = &mut out[row * count + (column - first)..];
            if x.rows - row >= HIGH {
                tile::<HIGH>(x, row, &packed, &scales, place, [count, columns]);
                row += HIGH;
            } else {
                tile::<TILE>(x, row, &packed, &scales, place, [count, columns]);
                row += TILE;
            }
        }
    }
}

/// Four inputs of each column after four others, as numbers from 0 to 255. Where there are fewer columns, the last one
/// again, whose products nobody takes.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn pack(weight: &Matrix<'_>, column: usize, columns: usize, packed: &mut [[i32; WIDE]]) {
    let shift = _mm512_set1_epi8(-128);
    for half in 0..2 {
        for step in 0..weight.width / STEP {
            let mut lines = [__m512i::zeroed(); LANES];
            for lane in 0..LANES {
                let from = column + (half * LANES + lane).min(columns - 1);
                let line = &weight.values[from * weight.width + step * STEP..];
                if let Some(line) = line.first_chunk::<STEP>() {
                    lines[lane] = _mm512_xor_si512(cast(*line), shift);
                }
            }
            let turned = transposed(lines);
            let packed = &mut packed[step * LANES..][..LANES];
            for place in 0..LANES {
                let lanes: [i32; LANES] = cast(turned[place]);
                packed[place][half * LANES..][..LANES].copy_from_slice(&lanes);
            }
        }
    }
}

/// 16 times 16 numbers of 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn transposed(lines: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut fours = lines;
    for group in 0..4 {
        let at = 4 * group;
        let (a, b, c, d) = (lines[at], lines[at + 1], lines[at + 2], lines[at + 3]);
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        fours[at] = _mm512_unpacklo_epi64(ab, cd);
        fours[at + 1] = _mm512_unpackhi_epi64(ab, cd);
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        fours[at + 2] = _mm512_unpacklo_epi64(ab, cd);
        fours[at + 3] = _mm512_unpackhi_epi64(ab, cd);
    }
    let mut turned = fours;
    for place in 0..4 {
        let (a, b) = (fours[place], fours[place + 4]);
        let (c, d) = (fours[place + 8], fours[place + 12]);
        let (ab, cd) = (
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(c, d),
        );
        turned[place] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        turned[place + 8] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        let (ab, cd) = (
            _mm512_shuffle_i32x4::<0xdd>(a, b),
            _mm512_shuffle_i32x4::<0xdd>(c, d),
        );
        turned[place + 4] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        turned[place + 12] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
    }
    turned
}

/// The products of some rows and columns, of which the first `columns` are taken, into rows that are `count` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn tile<const ROWS: usize>(
    x: &Rows,
    row: usize,
    packed: &[[i32; WIDE]],
    scales: &[[f32; WIDE]],
    out: &mut [f32],
    [count, columns]: [usize; 2],
) {
    let (values, _) = x.values.as_chunks::<4>();
    let steps = packed.len() / x.blocks;
    let mut sums = [[_mm512_set1_ps(0.0); 2]; ROWS];
    for block in 0..x.blocks {
        let packed = &packed[block * steps..][..steps];
        let mut lines: [&[[i8; 4]]; ROWS] = [&[]; ROWS];
        let mut dots = [[__m512i::zeroed(); 2]; ROWS];
        for i in 0..ROWS {
            let at = (row + i) * packed.len() * x.blocks + block * steps;
            lines[i] = &values[at..][..steps];
            dots[i] = [_mm512_set1_epi32(x.starts[(row + i) * x.blocks + block]); 2];
        }
        for step in 0..steps {
            let [left, right]: [__m512i; 2] = cast(packed[step]);
            for i in 0..ROWS {
                let x = _mm512_set1_epi32(cast(lines[i][step]));
                dots[i][0] = _mm512_dpbusd_epi32(dots[i][0], left, x);
                dots[i][1] = _mm512_dpbusd_epi32(dots[i][1], right, x);
            }
        }
        let of_columns: [__m512; 2] = cast(scales[block]);
        for i in 0..ROWS {
            let place = row + i;
            let scales = &x.scales[place / TILE * x.blocks + block];
            let of_row = _mm512_set1_ps(scales[place % TILE * TILE]);
            for half in 0..2 {
                let scale = _mm512_mul_ps(of_row, of_columns[half]);
                let dots = _mm512_cvtepi32_ps(dots[i][half]);
                sums[i][half] = _mm512_fmadd_ps(dots, scale, sums[i][half]);
            }
        }
    }
    for i in 0..ROWS {
        let sums: [f32; WIDE] = cast(sums[i]);
        // Rows that are no more than filling have no place.
        if let Some(out) = out.get_mut(i * count..i * count + columns) {
            out.copy_from_slice(&sums[..columns]);
        }
    }
}
