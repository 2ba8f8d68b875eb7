//! Products with weights on the CPU, whatever their numbers: f32, bf16, or integers with scales ([`int8`]).

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{Bytes, DType, Element, FloatDType, Shape, bf16};
use burn_flex::{FlexQTensor, FlexTensor, Layout};
use faer::Accum;
use rayon::prelude::*;

use super::few_rows::{self, Stored};
use super::flex::{dense, empty, last_two_of, values};
use super::int8;
use super::matrix::{contiguous, matrix, multiply, multiply_and};

/// Fewer multiplications than this are not worth a second thread.
const PRODUCTS_PER_THREAD: usize = 1 << 20;
/// Weights that are made f32 at a time: a quarter of a cache that only one thread uses.
const WIDENED: usize = 1 << 16;

/// Whether this is for numbers of these types.
pub(super) fn suits(x: &FlexTensor, weight: &FlexTensor) -> bool {
    x.dtype() == DType::F32 && matches!(weight.dtype(), DType::F32 | DType::BF16)
}

/// Weights in bf16 as f32; others as they are.
pub(super) fn widened(weight: FlexTensor) -> FlexTensor {
    match weight.dtype() {
        DType::BF16 => <Flex as FloatTensorOps<Flex>>::float_cast(weight, FloatDType::F32),
        _ => weight,
    }
}

/// `x · weight`. A weight that is a transposed view, as those of checkpoints are, is read as it lies.
pub(super) fn forward(x: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    match as_it_lies::<bf16>(&weight) {
        Some(lying) => product_of_rows(x, lying),
        None => match as_it_lies::<f32>(&weight) {
            Some(lying) if few_rows::suits(rows_of(x), lying.len()) => product_of_rows(x, lying),
            _ => product(x, widened(weight)),
        },
    }
}

/// The gradient of `x` from that of `x · weight`.
pub(super) fn backward(gradient: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    let [width, _]: [usize; 2] = weight.shape().dims();
    match as_it_lies::<bf16>(&weight) {
        Some(lying) => product_of_columns(gradient, width, |rows| {
            <bf16 as Stored>::widened(&lying[rows.start * width..rows.end * width]).into_owned()
        }),
        None => product(gradient, widened(weight).transpose(0, 1)),
    }
}

/// The numbers of a weight, `[in, out]`, whose inputs of each output lie together.
fn as_it_lies<E: Element + bytemuck::Pod>(weight: &FlexTensor) -> Option<&[E]> {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    let layout = weight.layout();
    let lies = weight.dtype() == E::dtype() && layout.strides()[..] == [1, width as isize];
    lies.then(|| &weight.storage()[layout.start_offset()..][..width * columns])
}

/// How many rows `x`, `[batch, length, width]`, has.
fn rows_of(x: &FlexTensor) -> usize {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    batch * length
}

/// `[batch, length, columns]` for `x`, `[batch, length, width]`.
fn like(x: &FlexTensor, columns: usize) -> FlexTensor {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    empty(Shape::new([batch, length, columns]))
}

/// How many of `rows` a thread takes at a time, of so many multiplications in all.
fn part(rows: usize, products: usize) -> usize {
    let parts = products / PRODUCTS_PER_THREAD;
    let part = rows.div_ceil(parts.clamp(1, rayon::current_num_threads()));
    // A row alone would be summed in another order than with others.
    (part.max(2)..=rows)
        .find(|part| rows % part != 1)
        .unwrap_or(rows)
}

/// `x · weight` of f32.
fn product(x: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    let (rows, mut out) = (rows_of(x), like(x, columns));
    if rows * columns * width == 0 {
        return out;
    }
    let (x, weight) = (x.to_contiguous(), dense(weight));
    let part = part(rows, rows * width * columns);
    let matrix = last_two_of(&weight, 0);
    out.storage_mut::<f32>()
        .par_chunks_mut(part * columns)
        .zip(values(&x).par_chunks(part * width))
        .for_each(|(out, x)| {
            let x = contiguous(x, [x.len() / width, width]);
            multiply(x, matrix, out, columns);
        });
    out
}

/// `x · weightᵀ` of `weight`, `[columns, width]`, made f32 some rows at a time.
fn product_of_rows<W: Stored>(x: &FlexTensor, weight: &[W]) -> FlexTensor {
    let [_, _, width]: [usize; 3] = x.shape().dims();
    let (rows, columns) = (rows_of(x), weight.len() / width.max(1));
    let mut out = like(x, columns);
    if rows * columns * width == 0 {
        return out;
    }
    let x = x.to_contiguous();
    if few_rows::suits(rows, weight.len()) {
        few_rows::multiply(values(&x), width, weight, out.storage_mut());
        return out;
    }
    let part = part(rows, rows * weight.len());
    let at_once = (WIDENED / width).max(1);
    out.storage_mut::<f32>()
        .par_chunks_mut(part * columns)
        .zip(values(&x).par_chunks(part * width))
        .for_each(|(out, x)| {
            let x = contiguous(x, [x.len() / width, width]);
            for (place, weight) in weight.chunks(at_once * width).enumerate() {
                let weight = W::widened(weight);
                let weight = contiguous(&weight, [weight.len() / width, width]);
                multiply(x, weight.transpose(), &mut out[place * at_once..], columns);
            }
        });
    out
}

/// `gradient · weight` of a weight, `[columns, width]`, of which `rows` gives some rows.
fn product_of_columns(
    gradient: &FlexTensor,
    width: usize,
    widened: impl Fn(std::ops::Range<usize>) -> Vec<f32> + Sync,
) -> FlexTensor {
    let [_, _, columns]: [usize; 3] = gradient.shape().dims();
    let (rows, mut out) = (rows_of(gradient), like(gradient, width));
    if rows * columns * width == 0 {
        return out;
    }
    let gradient = gradient.to_contiguous();
    let part = part(rows, rows * columns * width);
    let at_once = (WIDENED / width).max(1);
    out.storage_mut::<f32>()
        .par_chunks_mut(part * width)
        .zip(values(&gradient).par_chunks(part * columns))
        .for_each(|(out, gradient)| {
            let rows = gradient.len() / columns;
            for first in (0..columns).step_by(at_once) {
                let count = at_once.min(columns - first);
                let weight = widened(first..first + count);
                let weight = contiguous(&weight, [count, width]);
                let gradient = matrix(&gradient[first..], [rows, count], [columns, 1]);
                let how = if first == 0 {
                    Accum::Replace
                } else {
                    Accum::Add
                };
                multiply_and(how, gradient, weight, out, width);
            }
        });
    out
}

/// The scheme of weights, `[in, out]`, that share a scale among so many inputs of an output.
fn scheme(block: usize) -> QuantScheme {
    QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native)
        .per_block([block as u8, 1], ScaleDtype::F32)
}

/// `weight` as integers that lie as the inputs of an output after those of another, with the scales of its blocks.
pub(super) fn rounded(weight: FlexTensor) -> FlexQTensor {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    let block = int8::block(width);
    let lying = widened(weight).transpose(0, 1).to_contiguous();
    let (numbers, scales) = int8::round(values(&lying), width, block);
    let layout = Layout::contiguous(Shape::new([columns, width]));
    let tensor = FlexTensor::new(Bytes::from_elems(numbers), layout, DType::I8);
    FlexQTensor::new(tensor.transpose(0, 1), scheme(block), scales, None)
}

/// Whether this comes from [`rounded`].
pub(super) fn is_rounded(weight: &FlexQTensor) -> bool {
    let [width, _]: [usize; 2] = weight.shape().dims();
    weight.dtype() == DType::QFloat(scheme(int8::block(width)))
        && as_it_lies::<i8>(weight.tensor()).is_some()
}

/// `x · weight` of a weight that [`is_rounded`].
pub(super) fn forward_rounded(x: &FlexTensor, weight: &FlexQTensor) -> FlexTensor {
    let [_, columns]: [usize; 2] = weight.shape().dims();
    let mut out = like(x, columns);
    if let Some(matrix) = integers(weight).filter(|_| out.layout().num_elements() > 0) {
        int8::multiply(values(&x.to_contiguous()), &matrix, out.storage_mut());
    }
    out
}

/// The gradient of `x` from that of `x · weight`, of a weight that [`is_rounded`], as if `x` were not.
pub(super) fn backward_rounded(gradient: &FlexTensor, weight: &FlexQTensor) -> FlexTensor {
    let [width, _]: [usize; 2] = weight.shape().dims();
    match integers(weight) {
        Some(matrix) => product_of_columns(gradient, width, |rows| matrix.widened(rows)),
        None => like(gradient, width),
    }
}

fn integers(weight: &FlexQTensor) -> Option<int8::Matrix<'_>> {
    let [width, _]: [usize; 2] = weight.shape().dims();
    Some(int8::Matrix {
        values: as_it_lies(weight.tensor())?,
        scales: weight.scales(),
        width,
        block: int8::block(width),
    })
}
