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
const LARGE: usize = 1 << 22;
/// A row's products are all computed if more than one in so many may be the largest.
const FEW: usize = 16;
/// Products of which first of all only the one that may be the largest counts.
const BLOCK: usize = 64;
const LANES: usize = 16;
/// Rows of the matrix whose lengths are computed at a time.
const ROWS: usize = 64;

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
    width: usize,
}

impl std::fmt::Debug for Shortlist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shortlist of {}", self.lengths.len())
    }
}

impl Shortlist {
    /// Of a matrix, `[in, out]`, that is f32 on a processor, the inputs of each output lying together.
    pub(crate) fn of(weight: &Tensor<2>) -> Option<Self> {
        let [width, columns] = weight.dims();
        let weight = on_processor(weight)?;
        let rounded = linear::rounded(weight.clone());
        let numbers = linear::as_it_lies(&weight)?;
        let integers = linear::integers(&rounded)?;
        let (mut lengths, mut losses) = (vec![0.0; columns], vec![0.0; columns]);
        let places = lengths
            .par_chunks_mut(ROWS)
            .zip(losses.par_chunks_mut(ROWS));
        let parts = numbers.par_chunks(ROWS * width).zip(places).enumerate();
        parts.for_each_init(Vec::new, |rounded, (part, (numbers, (lengths, losses)))| {
            let first = part * ROWS;
            integers.widen(first..first + lengths.len(), rounded);
            let rows = numbers.chunks_exact(width).zip(rounded.chunks_exact(width));
            for ((x, rounded), place) in rows.zip(lengths.iter_mut().zip(losses)) {
                let (length, loss, _) = self::lengths(x, rounded);
                (*place.0, *place.1) = (above(length), above(loss));
            }
        });
        // Of the bits, so that NaN is more than infinity.
        let longest = lengths.iter().map(|length| length.to_bits()).max()?;
        Some(Self {
            lengths,
            losses,
            longest: f32::from_bits(longest),
            width,
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
        let most = self.lengths.len() / FEW;
        self.largest_of(values(&x), linear::as_it_lies(&weight)?, known, most)
    }

    /// [`Self::largest`], if it takes no more than `most` products of a row.
    fn largest_of(&self, x: &[f32], weight: &[f32], known: usize, most: usize) -> Option<Vec<u32>> {
        let matrix = linear::integers(&self.rounded)?;
        let (width, columns) = (self.width, self.lengths.len());
        let reaches = self.reaches(x)?;
        let mut products = vec![0.0; reaches.len() * columns];
        int8::multiply(x, &matrix, &mut products);
        let rows = x.par_chunks(width).zip(products.par_chunks_mut(columns));
        rows.zip(&reaches)
            .map(|((x, products), reach)| {
                let products = &mut products[..known];
                let bound = bounds(products, &self.lengths, &self.losses, reach)?;
                let ids = not_below(bound, products);
                (ids.len() <= most).then(|| first_largest(x, weight, &ids))
            })
            .collect()
    }

    /// How far from the products of each row of `x` those of the integers may be.
    fn reaches(&self, x: &[f32]) -> Option<Vec<Reach>> {
        let width = self.width;
        let mut rounding = linear::Rounding::new([width, x.len() / width]);
        rounding.push(x);
        let rounded = rounding.weight();
        let integers = linear::integers(&rounded)?;
        let mut place = Vec::new();
        integers.widen(0..x.len() / width, &mut place);
        let rows = x.chunks_exact(width).zip(place.chunks_exact(width));
        rows.map(|(x, rounded)| {
            let (length, loss, rounded) = lengths(x, rounded);
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    /// From -0.5 to 0.5.
    fn random(i: usize, seed: u32) -> f32 {
        let mut bits = (i as u32 ^ seed).wrapping_mul(2_654_435_761);
        bits = (bits ^ (bits >> 15)).wrapping_mul(2_246_822_519);
        (bits ^ (bits >> 13)) as f32 / u32::MAX as f32 - 0.5
    }

    /// `numbers`, `[columns, width]`, as a weight, `[width, columns]`.
    fn weight(numbers: Vec<f32>, width: usize) -> Tensor<2> {
        let shape = [numbers.len() / width, width];
        Tensor::<2>::from_data(TensorData::new(numbers, shape), &Device::flex()).transpose()
    }

    /// By all products, as they are computed elsewhere.
    fn by_all(x: &[f32], weight: &[f32], width: usize, known: usize) -> Vec<u32> {
        let columns = weight.len() / width;
        let mut products = vec![0.0; x.len() / width * columns];
        few_rows::multiply(x, width, weight, &mut products);
        let rows = products.chunks(columns).map(|products| {
            let products = &products[..known];
            let largest = products.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let place = products.iter().position(|&product| product == largest);
            place.unwrap_or(0) as u32
        });
        rows.collect()
    }

    fn by_shortlist(
        x: &[f32],
        numbers: &[f32],
        [width, known, most]: [usize; 3],
    ) -> Option<Vec<u32>> {
        let shortlist = Shortlist::of(&weight(numbers.to_vec(), width));
        shortlist.and_then(|shortlist| shortlist.largest_of(x, numbers, known, most))
    }

    proptest! {
        /// Of rows of all lengths, many of which are equal or nearly so: those of one kind differ in the last bits of a
        /// number.
        #[test]
        fn as_by_all_products(
            (rows, columns) in (1..9_usize, 1..600_usize),
            width in prop_oneof![1..200_usize, (1..5_usize).prop_map(|n| n * 128)],
            (kinds, changed) in (1..600_usize, 0..4_u32),
            (x_power, power, powers) in (-60..60_i32, -60..60_i32, 0..40_usize),
            (part, seed) in (0.0..1.0_f64, any::<u32>()),
        ) {
            let size = 2.0_f32.powi(x_power);
            let x: Vec<f32> = (0..rows * width).map(|i| random(i, seed) * size).collect();
            let mut numbers = Vec::new();
            for column in 0..columns {
                let kind = column * 7 % kinds;
                let size = 2.0_f32.powi(power - (kind % (powers + 1)) as i32);
                let start = numbers.len();
                numbers.extend((0..width).map(|i| random(kind * width + i, !seed) * size));
                let place = &mut numbers[start + column % width];
                *place = f32::from_bits(place.to_bits() ^ (column as u32 & changed));
            }
            let known = ((columns as f64 * part) as usize).max(1);
            let found = by_shortlist(&x, &numbers, [width, known, columns]);
            prop_assert_eq!(found, Some(by_all(&x, &numbers, width, known)));
        }

        /// The bound holds for each product, whatever the sizes of numbers within a row.
        #[test]
        fn no_product_is_farther(
            width in prop_oneof![1..200_usize, (1..5_usize).prop_map(|n| n * 128)],
            (x_power, power) in (-149..50_i32, -149..50_i32),
            (x_powers, powers) in (1..100_i32, 1..100_i32),
            seed in any::<u32>(),
        ) {
            const COLUMNS: usize = 20;
            let sized = |i: usize, seed: u32, power: i32, powers: i32| {
                let sized = power - (i as i32 * 11) % powers;
                (f64::from(random(i, seed)) * 2.0_f64.powi(sized)) as f32
            };
            let x: Vec<f32> = (0..width).map(|i| sized(i, seed, x_power, x_powers)).collect();
            let numbers: Vec<f32> =
                (0..COLUMNS * width).map(|i| sized(i, !seed, power, powers)).collect();
            let shortlist = Shortlist::of(&weight(numbers.clone(), width)).expect("a shortlist");
            let reach = &shortlist.reaches(&x).expect("finite")[0];
            let matrix = linear::integers(&shortlist.rounded).expect("integers");
            let (mut products, mut most) = ([0.0; COLUMNS], [0.0; COLUMNS]);
            few_rows::multiply(&x, width, &numbers, &mut products);
            int8::multiply(&x, &matrix, &mut most);
            let by_integers = most;
            let least = bounds(&mut most, &shortlist.lengths, &shortlist.losses, reach);
            let largest = products.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert!(least.expect("finite") <= largest);
            for ((product, most), by_integers) in products.iter().zip(most).zip(by_integers) {
                prop_assert!(*product <= most, "{product} {most}");
                prop_assert!(*product >= by_integers - (most - by_integers).next_up(), "{product}");
            }
        }
    }

    #[test]
    fn few_products_are_computed_of_random_numbers() {
        let (width, columns) = (512, 4096);
        let numbers: Vec<f32> = (0..columns * width).map(|i| random(i, 3)).collect();
        let x: Vec<f32> = (0..8 * width).map(|i| random(i, 5)).collect();
        for known in [1, 100, 4000, columns] {
            let found = by_shortlist(&x, &numbers, [width, known, 100]);
            assert_eq!(found, Some(by_all(&x, &numbers, width, known)));
        }
    }

    #[test]
    fn what_can_t_be_told_is_not() {
        let (width, columns) = (128, 400);
        let few = [width, columns, columns / 4];
        let numbers: Vec<f32> = (0..columns * width).map(|i| random(i, 3)).collect();
        let x: Vec<f32> = (0..2 * width).map(|i| random(i, 5)).collect();
        assert!(by_shortlist(&x, &numbers, few).is_some());
        for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, f32::MAX] {
            let mut wrong_x = x.clone();
            wrong_x[width + 3] = wrong;
            assert_eq!(by_shortlist(&wrong_x, &numbers, few), None);
            let mut numbers = numbers.clone();
            numbers[7 * width + 3] = wrong;
            assert_eq!(by_shortlist(&x, &numbers, few), None);
        }
        assert_eq!(by_shortlist(&[0.0; 128], &numbers, few), None);
        assert_eq!(by_shortlist(&x, &vec![0.25; columns * width], few), None);
    }

    #[test]
    fn a_matrix_is_known_again_until_it_changes() {
        let (width, columns) = (128, LARGE / 128);
        let x = Tensor::<3>::ones([1, 1, width], &Device::flex());
        let identity = |weight: &Tensor<2>| Identity::worthwhile(&x, weight);
        let first = weight(vec![0.5; columns * width], width);
        let Some(known) = identity(&first) else {
            return; // A processor that does not multiply bytes.
        };
        assert!(identity(&first.clone()) == Some(known));
        let known = identity(&first);
        assert!(identity(&weight(vec![0.5; columns * width], width)) != known);
        // In the place of its numbers, if nobody else had them.
        let changed = first * 1.0;
        assert!(identity(&changed) != known);
        let known = identity(&changed);
        drop(changed);
        for _ in 0..8 {
            assert!(identity(&weight(vec![0.5; columns * width], width)) != known);
        }
        let rows = Tensor::<3>::ones([65, 1, width], &Device::flex());
        assert!(Identity::worthwhile(&rows, &weight(vec![0.5; columns * width], width)).is_none());
        let autodiff = weight(vec![0.5; columns * width], width).autodiff();
        assert!(Identity::worthwhile(&x, &autodiff).is_none());
    }
}
