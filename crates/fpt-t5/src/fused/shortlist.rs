//! The largest of a row's products with a large matrix of f32, of which few rows are read.
//!
//! Integers of a byte each stand for the matrix, and tell every product but for an error that has a bound. Only rows of
//! the matrix whose product may be the largest are multiplied, so the largest is that of all products, bit by bit.
//!
//! With `x` and a row `w` of the matrix, `x'` and `w'` what their integers stand for, and `u = 2⁻²⁴`:
//!
//! - `|x·w - x'·w'| ≤ |x - x'| |w| + |x'| |w - w'|`, by lengths of vectors.
//! - [`few_rows`] rounds at most `width` times on the way of a term to the sum, in whatever order: its error is at most
//!   `width u |x| |w|`, but for what `u²` is.
//! - [`int8`] sums a block's products exactly, multiplies them by a product of scales and adds blocks up: at most
//!   `(blocks + 2) u |x'| |w'|`.
//! - What the integers stand for is rounded to f32 where lengths are computed, and so are the ends of the interval about
//!   a product: at most `6 u |x'| |w'|` and `2 u |x| |w|`.
//! - Below the normal numbers of f32 rounding is by up to 2⁻¹⁵⁰ each: of an input's product, and of a block's scales,
//!   which are multiplied by less than 2²². Altogether less than 2⁻¹²⁶ for each input.
//!
//! Since `|w'| ≤ |w| + |w - w'|`, all of it is at most `a |w| + b |w - w'| + c` with numbers of the row, see [`Reach`].

use std::sync::{Arc, Weak};

use burn::backend::{BackendTensor, DispatchTensorKind};
use burn::tensor::{Bytes, DType, Tensor};
use burn_flex::{FlexQTensor, FlexTensor, Layout};
use multiversion::multiversion;
use multiversion::target::match_target;
use rayon::prelude::*;

use super::flex::values;
use super::kernels::maxima;
use super::{few_rows, int8, linear};

/// Elements of a matrix from which on less time is taken than by all products.
const LARGE: usize = 1 << 20;
/// A row's products are all computed if more than one in so many may be the largest.
const FEW: usize = 16;
/// Products of which first of all only the one that may be the largest counts.
const BLOCK: usize = 64;
const LANES: usize = 16;

/// Which matrix a tensor has. While it is known nobody can write to its numbers in their place, since they are shared,
/// and no others can come to be there; but it does not keep them.
#[derive(Debug)]
pub(crate) struct Identity {
    data: Weak<Bytes>,
    layout: Layout,
}

impl Identity {
    /// Of a matrix, `[in, out]`, whose largest products with `x`, `[rows, 1, in]`, are found faster with a [`Shortlist`].
    pub(crate) fn worthwhile(x: &Tensor<3>, weight: &Tensor<2>) -> Option<Self> {
        let ([rows, _, _], [width, columns]) = (x.dims(), weight.dims());
        let elements = width * columns;
        let suits = rows > 0 && elements >= LARGE && few_rows::suits(rows, elements);
        let (x, weight) = (on_processor(x)?, on_processor(weight)?);
        let suits = suits && x.dtype() == DType::F32 && multiplies_bytes();
        (suits && linear::as_it_lies::<f32>(&weight).is_some()).then(|| Self {
            data: Arc::downgrade(&weight.data_arc()),
            layout: weight.layout().clone(),
        })
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.data.ptr_eq(&other.data) && self.layout == other.layout
    }
}

/// What tells which products with a matrix may be the largest.
pub(crate) struct Shortlist {
    rounded: FlexQTensor,
    /// Of each row of the matrix, not less than its length.
    lengths: Vec<f32>,
    /// Of each row of the matrix, not less than the length of what it loses by rounding.
    losses: Vec<f32>,
    longest: f32,
}

impl std::fmt::Debug for Shortlist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shortlist of {}", self.lengths.len())
    }
}

impl Shortlist {
    /// Of a matrix, `[in, out]`, that is f32 on a processor, the inputs of each output lying together.
    pub(crate) fn of(weight: &Tensor<2>) -> Option<Self> {
        let weight = on_processor(weight)?;
        let rounded = linear::rounded(weight.clone());
        let numbers = linear::as_it_lies(&weight)?;
        let integers = linear::integers(&rounded)?;
        let length = |(row, numbers)| {
            let mut place = Vec::new();
            integers.widen(row..row + 1, &mut place);
            let (length, loss, _) = lengths(numbers, &place);
            (above(length), above(loss))
        };
        let rows = numbers.par_chunks(integers.width).enumerate();
        let (lengths, losses): (Vec<f32>, Vec<f32>) =
            rows.with_min_len(1 << 10).map(length).unzip();
        // Of the bits, so that NaN is more than infinity.
        let longest = lengths.iter().map(|length| length.to_bits()).max()?;
        Some(Self {
            lengths,
            losses,
            longest: f32::from_bits(longest),
            rounded,
        })
    }

    /// Of the first `known` products of each row of `x`, `[rows, 1, in]`, with the matrix `weight`, `[in, out]`, of which
    /// this is: which is the largest, and of equals the first. Nothing if that can't be told by few products: where there
    /// is what is no number, or infinite, or very many products are nearly the same.
    pub(crate) fn largest(
        &self,
        x: &Tensor<3>,
        weight: &Tensor<2>,
        known: usize,
    ) -> Option<Vec<u32>> {
        let (x, weight) = (on_processor(x)?.to_contiguous(), on_processor(weight)?);
        self.largest_of(values(&x), linear::as_it_lies(&weight)?, known)
    }

    fn largest_of(&self, x: &[f32], weight: &[f32], known: usize) -> Option<Vec<u32>> {
        let matrix = linear::integers(&self.rounded)?;
        let (width, columns) = (matrix.width, self.lengths.len());
        let reaches = self.reaches(x, width)?;
        let mut products = vec![0.0; reaches.len() * columns];
        int8::multiply(x, &matrix, &mut products);
        let rows = x.par_chunks(width).zip(products.par_chunks_mut(columns));
        rows.zip(&reaches)
            .map(|((x, products), reach)| {
                let products = &mut products[..known];
                let bound = bounds(products, &self.lengths, &self.losses, reach)?;
                let ids = not_below(bound, products);
                (ids.len() <= columns / FEW).then(|| first_largest(x, weight, &ids))
            })
            .collect()
    }

    /// How far from the products of each row of `x` those of the integers may be.
    fn reaches(&self, x: &[f32], width: usize) -> Option<Vec<Reach>> {
        let mut rounding = linear::Rounding::new([width, x.len() / width]);
        rounding.push(x);
        let rounded = rounding.weight();
        let integers = linear::integers(&rounded)?;
        let mut place = Vec::new();
        let rows = x.chunks_exact(width).enumerate();
        rows.map(|(row, x)| {
            integers.widen(row..row + 1, &mut place);
            let (length, loss, rounded) = lengths(x, &place);
            // No sum on the way to a product is infinite.
            let within = length * f64::from(self.longest) < f64::from(f32::MAX) / 4.0;
            within.then(|| Reach::new(width, length, loss, rounded))
        })
        .collect()
    }
}

/// How far from a row's products those of its integers may be: with a row of the matrix that has this length, and loses
/// so much by rounding, `per_length · length + per_loss · loss + least`.
#[derive(Debug)]
struct Reach {
    per_length: f32,
    per_loss: f32,
    least: f32,
}

impl Reach {
    /// Of a row of so many numbers that has this length, loses so much by rounding, and then has the length `rounded`.
    fn new(width: usize, length: f64, loss: f64, rounded: f64) -> Self {
        // There are no more blocks than numbers. Twice what is needed makes up for powers of `u`.
        let rounding = 2.0 * (2 * width + 16) as f64 * f64::from(f32::EPSILON / 2.0);
        // For the roundings of the numbers here, and of what is computed with them.
        let more = 1.0 + f64::from(f32::EPSILON) * 8.0;
        Self {
            per_length: above((loss + rounding * (length + rounded)) * more),
            per_loss: above(rounded * (1.0 + rounding) * more),
            least: width as f32 * f32::MIN_POSITIVE * 2.0,
        }
    }
}

/// An f32 that is not less.
fn above(number: f64) -> f32 {
    (number as f32).next_up()
}

/// The lengths of `x`, of its difference to `rounded`, and of that.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
fn lengths(x: &[f32], rounded: &[f32]) -> (f64, f64, f64) {
    let mut squares = [[0.0_f64; LANES]; 3];
    for (x, rounded) in x.chunks(LANES).zip(rounded.chunks(LANES)) {
        for (lane, (&x, &rounded)) in x.iter().zip(rounded).enumerate() {
            let (x, rounded) = (f64::from(x), f64::from(rounded));
            let loss = x - rounded;
            squares[0][lane] += x * x;
            squares[1][lane] += loss * loss;
            squares[2][lane] += rounded * rounded;
        }
    }
    let [length, loss, rounded] = squares.map(|lanes| lanes.iter().sum::<f64>().sqrt());
    (length, loss, rounded)
}

/// Make of products what they may be at most; what the largest of them is at least, if all are finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma"))]
fn bounds(products: &mut [f32], lengths: &[f32], losses: &[f32], reach: &Reach) -> Option<f32> {
    let mut least = [f32::NEG_INFINITY; LANES];
    let mut sizes = [0_u32; LANES];
    let rows = lengths.chunks(LANES).zip(losses.chunks(LANES));
    for (products, (lengths, losses)) in products.chunks_mut(LANES).zip(rows) {
        let lanes = least.iter_mut().zip(&mut sizes);
        let rows = lengths.iter().zip(losses);
        for ((product, (length, loss)), (least, size)) in products.iter_mut().zip(rows).zip(lanes) {
            let far = reach.per_loss.mul_add(*loss, reach.least);
            let far = reach.per_length.mul_add(*length, far);
            let low = *product - far;
            *size = (*size).max(product.abs().to_bits());
            *least = if low > *least { low } else { *least };
            *product += far;
        }
    }
    let finite = sizes.iter().all(|&size| size < f32::INFINITY.to_bits());
    finite.then(|| least.into_iter().fold(f32::NEG_INFINITY, f32::max))
}

/// Which are not below `bound`.
fn not_below(bound: f32, products: &[f32]) -> Vec<u32> {
    let mut largest = vec![f32::MIN; products.len().div_ceil(BLOCK)];
    maxima(products, BLOCK, &mut largest);
    let mut ids = Vec::new();
    for (block, products) in products.chunks(BLOCK).enumerate() {
        if largest[block] >= bound {
            let all = ((block * BLOCK) as u32..).zip(products);
            ids.extend(
                all.filter(|&(_, &product)| product >= bound)
                    .map(|(id, _)| id),
            );
        }
    }
    ids
}

/// Which of `ids` has the largest product of `x` and its row of `weight`; of equals, the first.
fn first_largest(x: &[f32], weight: &[f32], ids: &[u32]) -> u32 {
    let width = x.len();
    let rows = ids
        .iter()
        .map(|&id| &weight[id as usize * width..][..width]);
    let rows: Vec<f32> = rows.flatten().copied().collect();
    let mut products = vec![0.0; ids.len()];
    few_rows::multiply(x, width, &rows, &mut products);
    let mut found = (0, f32::NEG_INFINITY);
    for (&id, product) in ids.iter().zip(products) {
        if product > found.1 {
            found = (id, product);
        }
    }
    found.0
}

/// Whether this processor has instructions that multiply bytes, without which integers are not faster.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni"))]
fn multiplies_bytes() -> bool {
    match_target! {
        "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vnni" => true,
        _ => false,
    }
}

/// What there is of a tensor on the CPU, without autodiff.
fn on_processor<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => Some(tensor),
        _ => None,
    }
}
