//! What weights multiply, rounded and in the order in which they meet it.

use std::ops::Range;

use multiversion::multiversion;
use multiversion::target::match_target;

use super::matrix::Order;
use super::{FOUR, round_block};

/// Rows in a tile, at most: with two vectors of columns, as many sums as registers hold.
const HIGH: usize = 8;

/// Rows, rounded, with zeros where the last step of a block goes beyond it.
pub(super) struct Rows {
    /// A tile after the other, `[width / block, block / FOUR, rows]` of each.
    values: Vec<[i8; FOUR]>,
    /// What the sum of a block begins with, because of [`SHIFT`](super::SHIFT); a tile after the other, `[width / block, rows]` of each.
    starts: Vec<i32>,
    /// As `starts`.
    scales: Vec<f32>,
    pub(super) count: usize,
    order: Order,
}

/// Some of [`Rows`].
pub(super) struct Tile<'a> {
    pub(super) values: &'a [[i8; FOUR]],
    pub(super) starts: &'a [i32],
    pub(super) scales: &'a [f32],
}

/// The rows of the tile that begins with the first of so many.
pub(super) fn height(left: usize) -> usize {
    match left {
        0..HIGH => 1 << left.max(1).ilog2(),
        _ => HIGH,
    }
}

/// The rows of each tile of so many.
pub(super) fn tiles(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let tile = first..first + height(rows - first);
        first = tile.end;
        (tile.start < rows).then_some(tile)
    })
}

impl Rows {
    pub(super) fn new(x: &[f32], order: Order) -> Self {
        let count = x.len() / order.width;
        let blocks = count * order.blocks();
        let mut rows = Self {
            values: vec![[0; FOUR]; blocks * order.steps()],
            starts: vec![0; blocks],
            scales: vec![0.0; blocks],
            count,
            order,
        };
        fill(&mut rows, x);
        rows
    }

    #[inline(always)]
    pub(super) fn tile(&self, rows: Range<usize>) -> Tile<'_> {
        let blocks = self.order.blocks();
        let steps = blocks * self.order.steps();
        Tile {
            values: &self.values[rows.start * steps..rows.end * steps],
            starts: &self.starts[rows.start * blocks..rows.end * blocks],
            scales: &self.scales[rows.start * blocks..rows.end * blocks],
        }
    }
}

/// Round `x` into its places.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni",
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq",
    "x86_64+avx2+fma"
))]
fn fill(rows: &mut Rows, x: &[f32]) {
    let (blocks, steps) = (rows.order.blocks(), rows.order.steps());
    let mut rounded = vec![[0; FOUR]; steps];
    let mut x = x.chunks_exact(rows.order.block);
    for tile in tiles(rows.count) {
        let high = tile.len();
        let values = &mut rows.values[tile.start * blocks * steps..][..high * blocks * steps];
        for row in 0..high {
            for (block, x) in (0..blocks).zip(&mut x) {
                let place = tile.start * blocks + block * high + row;
                let integers = &mut rounded.as_flattened_mut()[..x.len()];
                (rows.scales[place], rows.starts[place]) = match_target! {
                    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni" => super::vnni::round_block(x, integers),
                    _ => round_block(x, integers),
                };
                let places = &mut values[block * steps * high..][..steps * high];
                if high == HIGH {
                    let (places, _) = places.as_chunks_mut::<HIGH>();
                    for (place, four) in places.iter_mut().zip(&rounded) {
                        place[row] = *four;
                    }
                } else {
                    for (place, four) in places.chunks_exact_mut(high).zip(&rounded) {
                        place[row] = *four;
                    }
                }
            }
        }
    }
}
