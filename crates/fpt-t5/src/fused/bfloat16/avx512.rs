//! Products by AVX-512's instruction for bf16, which adds to each of 16 sums the products of two pairs of numbers.
//!
//! Plain loops: what is called with a closure is not compiled for these instructions.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
    _mm512_dpbf16_ps, _mm512_or_si512, _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_i32x4,
    _mm512_slli_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use burn::tensor::bf16;
use bytemuck::{Pod, Zeroable, cast};
use faer::Accum;

use super::{LANES, Over, round};

/// Two numbers in bf16 that a sum takes at once, the first in the low bits.
type Pair = u32;
/// A pair of each of some columns. As the instruction takes it: what a loop would make of numbers is copied once more where
/// Rust checks itself.
type Line = __m512bh;

/// Rows of a tile, and groups of columns: with as many sums as registers hold.
const HIGH: usize = 8;
const WIDE: usize = 3;

/// [`super::by_rows`] or [`super::by_columns`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
pub(super) fn product(
    how: Accum,
    over: Over,
    x: &[f32],
    width: usize,
    weight: &[bf16],
    out: &mut [f32],
) {
    let rows = weight.len() / width;
    let (depth, columns) = match over {
        Over::Width => (width, rows),
        Over::Columns => (rows, width),
    };
    let (x, steps) = (paired(x, depth), depth.div_ceil(2));
    let mut panel = vec![Line::zeroed(); WIDE * steps];
    for first in (0..columns).step_by(WIDE * LANES) {
        let count = (columns - first).min(WIDE * LANES);
        let groups = panel.chunks_exact_mut(steps).take(count.div_ceil(LANES));
        for (group, lines) in groups.enumerate() {
            let column = first + group * LANES;
            let last = columns.min(column + LANES);
            match over {
                Over::Width => transposed(&weight[column * width..last * width], width, lines),
                Over::Columns => zipped(weight, width, column, lines),
            }
        }
        multiply(how, &x, &panel, steps, &mut out[first..], [columns, count]);
    }
}

/// Rows of so many numbers as rows of pairs, rounded; the last pair of a row may have one number only.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn paired(x: &[f32], width: usize) -> Vec<Pair> {
    let steps = width.div_ceil(2);
    let mut pairs = vec![0; x.len() / width * steps];
    // Where no row ends within a pair they are one.
    let (width, steps) = match width % 2 {
        0 => (x.len(), pairs.len()),
        _ => (width, steps),
    };
    for (x, pairs) in x.chunks_exact(width).zip(pairs.chunks_exact_mut(steps)) {
        let (numbers, rest) = x.as_chunks::<{ 2 * LANES }>();
        let (lines, last) = pairs.split_at_mut(numbers.len() * LANES);
        let (lines, _) = lines.as_chunks_mut::<LANES>();
        for (numbers, line) in numbers.iter().zip(lines) {
            let [low, high]: [__m512; 2] = cast(*numbers);
            *line = cast(_mm512_cvtne2ps_pbh(high, low));
        }
        for (numbers, pair) in rest.chunks(2).zip(last) {
            let high = numbers.get(1).map_or(0, |&x| round(x));
            *pair = u32::from(round(numbers[0])) | u32::from(high) << 16;
        }
    }
    pairs
}

/// So many numbers of a row from `at` on, zeros where it ends.
#[inline]
fn load<T: Pod, const COUNT: usize>(row: &[bf16], at: usize) -> T
where
    [bf16; COUNT]: Pod,
{
    let rest = row.get(at..).unwrap_or_default();
    if let Some(numbers) = rest.first_chunk::<COUNT>() {
        return cast(*numbers);
    }
    let mut numbers = [bf16::ZERO; COUNT];
    numbers[..rest.len()].copy_from_slice(rest);
    cast(numbers)
}

/// Up to [`LANES`] rows of `width` numbers, each of which becomes a lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn transposed(rows: &[bf16], width: usize, lines: &mut [Line]) {
    for (block, lines) in lines.chunks_mut(LANES).enumerate() {
        let mut square = [__m512i::zeroed(); LANES];
        for (row, square) in rows.chunks_exact(width).zip(&mut square) {
            *square = load::<_, { 2 * LANES }>(row, block * 2 * LANES);
        }
        transpose(&mut square);
        for (line, square) in lines.iter_mut().zip(square) {
            *line = cast(square);
        }
    }
}

/// Make rows of columns.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn transpose(x: &mut [__m512i; LANES]) {
    // Pairs of rows, then of these: a vector has four rows of a column in each quarter.
    let mut y = *x;
    for i in (0..LANES).step_by(2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        for j in 0..2 {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + j + 2]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + j + 2]);
        }
    }
    // Quarters of two and two vectors, and of these.
    for i in [0, 8] {
        for j in i..i + 4 {
            y[j] = _mm512_shuffle_i32x4::<0x88>(x[j], x[j + 4]);
            y[j + 4] = _mm512_shuffle_i32x4::<0xDD>(x[j], x[j + 4]);
        }
    }
    for j in 0..8 {
        x[j] = _mm512_shuffle_i32x4::<0x88>(y[j], y[j + 8]);
        x[j + 8] = _mm512_shuffle_i32x4::<0xDD>(y[j], y[j + 8]);
    }
}

/// Numbers from `first` on of rows of `width`, of which every two become a line.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn zipped(rows: &[bf16], width: usize, first: usize, lines: &mut [Line]) {
    for (rows, line) in rows.chunks(2 * width).zip(lines) {
        let (one, other) = rows.split_at(width);
        let low = _mm512_cvtepu16_epi32(load::<_, LANES>(one, first));
        let high = _mm512_cvtepu16_epi32(load::<_, LANES>(other, first));
        *line = cast(_mm512_or_si512(low, _mm512_slli_epi32::<16>(high)));
    }
}

/// The products of all rows and a panel, into rows of `size[0]` of which `size[1]` are theirs.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn multiply(
    how: Accum,
    x: &[Pair],
    panel: &[Line],
    steps: usize,
    out: &mut [f32],
    size: [usize; 2],
) {
    match size[1].div_ceil(LANES) {
        1 => tiles::<1>(how, x, panel, steps, out, size),
        2 => tiles::<2>(how, x, panel, steps, out, size),
        _ => tiles::<WIDE>(how, x, panel, steps, out, size),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn tiles<const GROUPS: usize>(
    how: Accum,
    x: &[Pair],
    panel: &[Line],
    steps: usize,
    out: &mut [f32],
    size: [usize; 2],
) {
    let mut lines: [&[Line]; GROUPS] = [&[]; GROUPS];
    for (lines, group) in lines.iter_mut().zip(panel.chunks_exact(steps)) {
        *lines = group;
    }
    let rows = x.len() / steps;
    let mut first = 0;
    while first < rows {
        let (x, out) = (&x[first * steps..], &mut out[first * size[0]..]);
        first += match rows - first {
            HIGH.. => tile::<HIGH, GROUPS>(how, x, lines, out, size),
            4.. => tile::<4, GROUPS>(how, x, lines, out, size),
            2.. => tile::<2, GROUPS>(how, x, lines, out, size),
            _ => tile::<1, GROUPS>(how, x, lines, out, size),
        };
    }
}

/// Returns how many rows these were.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn tile<const ROWS: usize, const GROUPS: usize>(
    how: Accum,
    x: &[Pair],
    lines: [&[Line]; GROUPS],
    out: &mut [f32],
    [stride, count]: [usize; 2],
) -> usize {
    let steps = lines[0].len();
    let mut rows: [&[Pair]; ROWS] = [&[]; ROWS];
    for i in 0..ROWS {
        rows[i] = &x[i * steps..][..steps];
    }
    let mut columns = lines;
    for j in 0..GROUPS {
        columns[j] = &lines[j][..steps];
    }
    let mut sums = [[_mm512_set1_ps(0.0); GROUPS]; ROWS];
    for step in 0..steps {
        let mut w = [__m512bh::zeroed(); GROUPS];
        for j in 0..GROUPS {
            w[j] = columns[j][step];
        }
        for i in 0..ROWS {
            let x: __m512bh = cast(_mm512_set1_epi32(cast(rows[i][step])));
            for j in 0..GROUPS {
                sums[i][j] = _mm512_dpbf16_ps(sums[i][j], w[j], x);
            }
        }
    }
    for i in 0..ROWS {
        let (whole, rest) = out[i * stride..][..count].as_chunks_mut::<LANES>();
        for j in 0..GROUPS {
            match (whole.get_mut(j), how) {
                (Some(place), Accum::Replace) => *place = cast(sums[i][j]),
                (Some(place), Accum::Add) => {
                    *place = cast(_mm512_add_ps(cast(*place), sums[i][j]));
                }
                (None, _) => put(how, sums[i][j], rest),
            }
        }
    }
    ROWS
}

/// Put the first numbers of a vector into a place for fewer. By itself, so that whole ones are not copied in this way.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
fn put(how: Accum, sums: __m512, place: &mut [f32]) {
    let sums: [f32; LANES] = cast(sums);
    for (place, sum) in place.iter_mut().zip(sums) {
        *place = match how {
            Accum::Replace => sum,
            Accum::Add => *place + sum,
        };
    }
}
