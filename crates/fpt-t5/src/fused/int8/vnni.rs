//! Loops by AVX-512's instructions, of which one multiplies bytes, 0 to 255 by -128 to 127, and adds up four products.
//!
//! Plain loops: what is called with a closure is not compiled for these instructions.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm512_abs_ps, _mm512_add_epi32, _mm512_castps_si512,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtps_epi32,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_max_epu32, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_max_epu32, _mm512_set1_epi32,
    _mm512_set1_ps,
};
use std::ops::Range;
use std::slice::Iter;

use bytemuck::{Zeroable, cast};
use safe_arch::prefetch_t1;

use super::matrix::{Line, Matrix, SHIFT};
use super::rows::{Rows, Tile, tiles};
use super::{LANES, LARGEST, WIDE, inverse};

/// Steps between which lines are fetched.
const STRIDE: usize = 8;

/// Some columns, as many groups of lanes.
struct Columns<'a, const GROUPS: usize> {
    lines: [&'a [Line]; GROUPS],
    scales: [&'a [[f32; LANES]]; GROUPS],
    steps: usize,
    /// What to fetch into the cache meanwhile, so many in [`STRIDE`] steps.
    later: Iter<'a, Line>,
    at_once: usize,
}

/// [`super::product`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
pub(super) fn product(x: &Rows, weight: &Matrix<'_>, columns: Range<usize>, out: &mut [f32]) {
    for column in columns.clone().step_by(WIDE) {
        let size = [columns.len(), WIDE.min(columns.end - column)];
        let out = &mut out[column - columns.start..];
        if size[1] > LANES {
            panel::<2>(x, weight, column / LANES, out, size);
        } else {
            panel::<1>(x, weight, column / LANES, out, size);
        }
    }
}

/// The products of all rows and some groups of columns, into rows of `size[0]` of which `size[1]` are theirs.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn panel<const GROUPS: usize>(
    x: &Rows,
    weight: &Matrix<'_>,
    group: usize,
    out: &mut [f32],
    size: [usize; 2],
) {
    let later = weight.lines(group + GROUPS, GROUPS);
    let strides = later.len() / GROUPS / STRIDE * tiles(x.count).count();
    let mut columns = Columns {
        lines: [&[]; GROUPS],
        scales: [&[]; GROUPS],
        steps: weight.order.steps(),
        later: later.iter(),
        at_once: later.len().div_ceil(strides.max(1)),
    };
    for i in 0..GROUPS {
        (columns.lines[i], columns.scales[i]) = weight.group(group + i);
    }
    for rows in tiles(x.count) {
        let out = &mut out[rows.start * size[0]..];
        let tile = x.tile(rows.clone());
        match rows.len() {
            1 => multiply::<1, GROUPS>(&tile, &mut columns, out, size),
            2 => multiply::<2, GROUPS>(&tile, &mut columns, out, size),
            4 => multiply::<4, GROUPS>(&tile, &mut columns, out, size),
            _ => multiply::<8, GROUPS>(&tile, &mut columns, out, size),
        };
    }
}

/// [`panel`] of a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn multiply<const ROWS: usize, const GROUPS: usize>(
    x: &Tile<'_>,
    columns: &mut Columns<'_, GROUPS>,
    out: &mut [f32],
    [stride, count]: [usize; 2],
) {
    let steps = columns.steps;
    let (values, _) = x.values.as_chunks::<ROWS>();
    let (starts, _) = x.starts.as_chunks::<ROWS>();
    let (scales, _) = x.scales.as_chunks::<ROWS>();
    let mut sums = [[_mm512_set1_ps(0.0); GROUPS]; ROWS];
    for (block, (starts, x_scales)) in starts.iter().zip(scales).enumerate() {
        let mut dots = [[__m512i::zeroed(); GROUPS]; ROWS];
        for i in 0..ROWS {
            dots[i] = [_mm512_set1_epi32(starts[i]); GROUPS];
        }
        let block_steps = block * steps..(block + 1) * steps;
        let values = &values[block_steps.clone()];
        let mut lines: [&[Line]; GROUPS] = [&[]; GROUPS];
        for j in 0..GROUPS {
            lines[j] = &columns.lines[j][block_steps.clone()];
        }
        for first in (0..steps).step_by(STRIDE) {
            for _ in 0..columns.at_once {
                if let Some(line) = columns.later.next() {
                    prefetch_t1(line);
                }
            }
            for step in first..steps.min(first + STRIDE) {
                let mut w = [__m512i::zeroed(); GROUPS];
                for j in 0..GROUPS {
                    w[j] = cast(lines[j][step]);
                }
                for i in 0..ROWS {
                    let x = _mm512_set1_epi32(cast(values[step][i]));
                    for j in 0..GROUPS {
                        dots[i][j] = _mm512_dpbusd_epi32(dots[i][j], w[j], x);
                    }
                }
            }
        }
        for j in 0..GROUPS {
            let of_columns: __m512 = cast(columns.scales[j][block]);
            for i in 0..ROWS {
                let scale = _mm512_mul_ps(_mm512_set1_ps(x_scales[i]), of_columns);
                let dots = _mm512_cvtepi32_ps(dots[i][j]);
                sums[i][j] = _mm512_fmadd_ps(dots, scale, sums[i][j]);
            }
        }
    }
    for i in 0..ROWS {
        let (whole, rest) = out[i * stride..][..count].as_chunks_mut::<LANES>();
        for j in 0..GROUPS {
            match whole.get_mut(j) {
                Some(place) => *place = cast(sums[i][j]),
                None => put(sums[i][j], rest),
            }
        }
    }
}

/// Put the first numbers of a vector into a place for fewer. By itself, so that whole ones are not copied in this way.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn put(sums: __m512, place: &mut [f32]) {
    let sums: [f32; LANES] = cast(sums);
    place.copy_from_slice(&sums[..place.len()]);
}

/// [`super::round_block`].
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
pub(super) fn round_block(x: &[f32], out: &mut [i8]) -> (f32, i32) {
    let (vectors, rest) = x.as_chunks::<LANES>();
    let (places, _) = out.as_chunks_mut::<LANES>();
    if !rest.is_empty() {
        return super::round_block(x, out);
    }
    let mut largest = __m512i::zeroed();
    for x in vectors {
        let x = _mm512_abs_ps(cast(*x));
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(x));
    }
    let largest = f32::from_bits(_mm512_reduce_max_epu32(largest));
    let inverse = _mm512_set1_ps(inverse(largest));
    let (lowest, highest) = (_mm512_set1_ps(-128.0), _mm512_set1_ps(LARGEST));
    let mut sum = __m512i::zeroed();
    for (x, place) in vectors.iter().zip(places) {
        let x = _mm512_mul_ps(cast(*x), inverse);
        // In this order what is no number stays that, and becomes 0 as elsewhere.
        let x = _mm512_max_ps(lowest, _mm512_min_ps(highest, x));
        let bytes: __m128i = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
        sum = _mm512_add_epi32(sum, _mm512_cvtepi8_epi32(bytes));
        *place = cast(bytes);
    }
    (largest / LARGEST, -SHIFT * _mm512_reduce_add_epi32(sum))
}
