//! Weights of one byte each, in the order in which they are multiplied.

use std::ops::Range;

use multiversion::multiversion;

use super::{FOUR, LANES};

/// Inputs that share a scale, at most; a scheme of Burn's has no larger blocks of a power of two.
const BLOCK: usize = 128;
/// What an integer is stored as, less the integer: the instructions for bytes want one factor without a sign.
pub(super) const SHIFT: i32 = 128;

/// How many of so many inputs share a scale.
fn block(width: usize) -> usize {
    let divides = |block: &usize| width.is_multiple_of(*block);
    let found = [BLOCK, BLOCK / 2].into_iter().find(divides);
    found.unwrap_or_else(|| (1..=BLOCK).rev().find(divides).unwrap_or(1))
}

/// How weights of `columns` outputs and `width` inputs lie: `[columns / LANES, width / block, block / FOUR, LANES, FOUR]`,
/// with filling after the last column and after the last input of a block. A lane of a vector has the inputs of one
/// column, so that nothing is added across lanes, and memory is read from one end to the other.
#[derive(Clone, Copy)]
pub(in super::super) struct Order {
    pub(in super::super) columns: usize,
    pub(in super::super) width: usize,
    /// Inputs that share a scale.
    pub(in super::super) block: usize,
}

impl Order {
    pub(in super::super) fn new(columns: usize, width: usize) -> Self {
        Self {
            columns,
            width,
            block: block(width),
        }
    }

    pub(super) fn blocks(&self) -> usize {
        self.width / self.block
    }

    /// In a block.
    pub(super) fn steps(&self) -> usize {
        self.block.div_ceil(FOUR)
    }
}

/// Some inputs of a group of columns.
pub(in super::super) type Line = [[u8; FOUR]; LANES];

/// A matrix, rounded.
pub(in super::super) struct Matrix<'a> {
    /// Each integer more by [`SHIFT`].
    lines: &'a [Line],
    scales: &'a [[f32; LANES]],
    pub(in super::super) order: Order,
}

impl<'a> Matrix<'a> {
    /// Of what a [`Rounder`] has in the end.
    pub(in super::super) fn new(values: &'a [u8], scales: &'a [f32], order: Order) -> Self {
        Self {
            lines: values.as_chunks().0.as_chunks().0,
            scales: scales.as_chunks().0,
            order,
        }
    }

    /// Put the weights of some columns into `place`, as the numbers that they stand for.
    pub(in super::super) fn widen(&self, columns: Range<usize>, place: &mut Vec<f32>) {
        place.clear();
        for column in columns {
            let (lines, scales) = self.group(column / LANES);
            let lane = column % LANES;
            for (lines, scales) in lines.chunks_exact(self.order.steps()).zip(scales) {
                let block = place.len()..place.len() + self.order.block;
                let number = |value: u8| (i32::from(value) - SHIFT) as f32 * scales[lane];
                place.extend(lines.iter().flat_map(|line| line[lane]).map(number));
                place.truncate(block.end);
            }
        }
    }

    /// The lines of a group of [`LANES`] columns, and the scales of its blocks.
    #[inline(always)]
    pub(super) fn group(&self, group: usize) -> (&'a [Line], &'a [[f32; LANES]]) {
        let blocks = self.order.blocks();
        let lines = blocks * self.order.steps();
        (
            &self.lines[group * lines..][..lines],
            &self.scales[group * blocks..][..blocks],
        )
    }

    /// The lines of so many groups from `group` on, or fewer if there are fewer.
    #[inline(always)]
    pub(super) fn lines(&self, group: usize, count: usize) -> &'a [Line] {
        let lines = self.order.blocks() * self.order.steps();
        let all = self.lines.get(group * lines..).unwrap_or_default();
        &all[..all.len().min(count * lines)]
    }
}

/// A matrix that is rounded column by column, as they come.
pub(in super::super) struct Rounder {
    /// What [`Matrix::new`] takes, in this order and in vectors.
    pub(in super::super) lines: Vec<Line>,
    pub(in super::super) scales: Vec<f32>,
    pub(in super::super) order: Order,
    /// Blocks that have come.
    done: usize,
}

impl Rounder {
    pub(in super::super) fn new(order: Order) -> Self {
        let blocks = order.columns.div_ceil(LANES) * order.blocks();
        Self {
            lines: vec![[[SHIFT as u8; FOUR]; LANES]; blocks * order.steps()],
            scales: vec![0.0; blocks * LANES],
            order,
            done: 0,
        }
    }

    /// The inputs of the next columns, or blocks of them.
    pub(in super::super) fn push(&mut self, columns: &[f32]) {
        let (blocks, steps) = (self.order.blocks(), self.order.steps());
        let mut rounded = vec![0; self.order.block];
        for x in columns.chunks_exact(self.order.block) {
            let (column, block) = (self.done / blocks, self.done % blocks);
            let (place, lane) = (column / LANES * blocks + block, column % LANES);
            self.scales[place * LANES + lane] = round_block(x, &mut rounded);
            let lines = &mut self.lines[place * steps..][..steps];
            for (line, values) in lines.iter_mut().zip(rounded.chunks(FOUR)) {
                for (place, &value) in line[lane].iter_mut().zip(values) {
                    *place = value as u8 ^ SHIFT as u8;
                }
            }
            self.done += 1;
        }
    }
}

/// [`super::round_block`] without the sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
fn round_block(x: &[f32], out: &mut [i8]) -> f32 {
    super::round_block(x, out).0
}
