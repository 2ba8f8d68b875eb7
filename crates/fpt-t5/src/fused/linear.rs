//! Products with weights on the CPU, whatever their numbers: f32, bf16, or integers with scales ([`int8`]).

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{Bytes, DType, Element, FloatDType, Shape, bf16};
use burn_flex::{FlexQTensor, FlexTensor, Layout};
use faer::Accum;
use rayon::prelude::*;

use super::flex::{dense, empty, last_two_of, owned, values};
use super::int8::{self, Matrix, Order, Rounder};
use super::matrix::{View, multiply, multiply_and, multiply_widened};
use super::{bfloat16, few_rows};

/// Fewer multiplications than this are not worth a second thread.
const PRODUCTS_PER_THREAD: usize = 1 << 20;

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
    of_few_rows(x, &weight).unwrap_or_else(|| {
        let out = empty(shape_of_product(x, &weight));
        product_into(out, Accum::Replace, x, weight)
    })
}

/// `residual + x · weight`, in the place of `residual` if nothing else has it.
pub(super) fn forward_onto(residual: FlexTensor, x: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    match of_few_rows(x, &weight) {
        Some(product) => <Flex as FloatTensorOps<Flex>>::float_add(residual, product),
        None => product_into(owned(residual), Accum::Add, x, weight),
    }
}

/// The gradient of the weight from that of `x · weight`.
pub(super) fn backward_to_weight(x: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
    let [batch, length, width]: [usize; 3] = x.shape().dims();
    let [_, _, columns]: [usize; 3] = gradient.shape().dims();
    let rows = batch * length;
    let mut out = empty(Shape::new([width, columns]));
    if rows * width * columns == 0 {
        return out;
    }
    let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
    let (x, gradient) = (
        values(&x),
        View::contiguous(values(&gradient), [rows, columns]),
    );
    let parts = rows * width * columns / PRODUCTS_PER_THREAD;
    let part = width.div_ceil(parts.clamp(1, rayon::current_num_threads()));
    out.storage_mut::<f32>()
        .par_chunks_mut(part * columns)
        .enumerate()
        .for_each(|(number, out)| {
            let size = [rows, out.len() / columns];
            let x = View::new(&x[number * part..], size, [width, 1]);
            multiply(x.transpose(), gradient, out, columns);
        });
    out
}

/// The gradient of `x` from that of `x · weight`.
pub(super) fn backward(gradient: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    let weight = weight.transpose(0, 1);
    let out = empty(shape_of_product(gradient, &weight));
    product_into(out, Accum::Replace, gradient, weight)
}

/// `before` and the gradient of `x` from that of `x · weight`, in the place of `before` if nothing else has it.
pub(super) fn backward_onto(
    before: FlexTensor,
    gradient: &FlexTensor,
    weight: FlexTensor,
) -> FlexTensor {
    let weight = weight.transpose(0, 1);
    product_into(owned(before), Accum::Add, gradient, weight)
}

/// The numbers of a weight, `[in, out]`, whose inputs of each output lie together.
pub(super) fn as_it_lies<E: Element + bytemuck::Pod>(weight: &FlexTensor) -> Option<&[E]> {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    let layout = weight.layout();
    let lies = weight.dtype() == E::dtype() && layout.strides()[..] == [1, width as isize];
    lies.then(|| &weight.storage()[layout.start_offset()..][..width * columns])
}

fn shape_of_product(x: &FlexTensor, weight: &FlexTensor) -> Shape {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    let [_, columns]: [usize; 2] = weight.shape().dims();
    Shape::new([batch, length, columns])
}

/// `x · weight` of so few rows of `x`, `[batch, length, width]`, that they are best multiplied by the weight as it lies.
fn of_few_rows(x: &FlexTensor, weight: &FlexTensor) -> Option<FlexTensor> {
    let [batch, length, width]: [usize; 3] = x.shape().dims();
    let elements = weight.shape().num_elements();
    let is_many = weight.dtype() == DType::BF16 && !bfloat16::suits_few_rows(batch * length);
    if is_many || !few_rows::suits(batch * length, elements) {
        return None;
    }
    let x = x.to_contiguous();
    let mut out = empty(shape_of_product(&x, weight));
    match as_it_lies::<bf16>(weight) {
        _ if batch * length == 0 => {}
        Some(lying) => {
            let x = bfloat16::rounded(values(&x));
            few_rows::multiply(&x, width, lying, out.storage_mut());
        }
        None => few_rows::multiply(
            values(&x),
            width,
            as_it_lies::<f32>(weight)?,
            out.storage_mut(),
        ),
    }
    Some(out)
}

/// `[batch, length, columns]` for `x`, `[batch, length, width]`, which `multiply` fills from its rows, some at a time.
fn by_rows(
    x: &FlexTensor,
    columns: usize,
    multiply: impl Fn(&[f32], &mut [f32]) + Sync,
) -> FlexTensor {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    let out = empty(Shape::new([batch, length, columns]));
    by_rows_into(out, x, columns, multiply)
}

/// [`by_rows`] into a contiguous tensor that there is.
fn by_rows_into(
    mut out: FlexTensor,
    x: &FlexTensor,
    columns: usize,
    multiply: impl Fn(&[f32], &mut [f32]) + Sync,
) -> FlexTensor {
    let [batch, length, width]: [usize; 3] = x.shape().dims();
    let rows = batch * length;
    let products = rows * columns * width;
    if products == 0 {
        return out;
    }
    let parts = (products / PRODUCTS_PER_THREAD).clamp(1, rayon::current_num_threads());
    // A row alone would be summed in another order than with others.
    let part = (rows.div_ceil(parts).max(2)..=rows)
        .find(|part| rows % part != 1)
        .unwrap_or(rows);
    let x = x.to_contiguous();
    out.storage_mut::<f32>()
        .par_chunks_mut(part * columns)
        .zip(values(&x).par_chunks(part * width))
        .for_each(|(out, x)| multiply(x, out));
    out
}

/// `x · weight` in the place of what there is, or added to it.
fn product_into(out: FlexTensor, how: Accum, x: &FlexTensor, weight: FlexTensor) -> FlexTensor {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    if let Some(lying) = as_it_lies::<bf16>(&weight) {
        return by_rows_into(out, x, columns, |x, out| {
            bfloat16::by_rows(how, x, width, lying, out);
        });
    }
    // As one is that was made here, not read.
    if let Some(lying) = as_it_lies::<bf16>(&weight.transpose(0, 1)) {
        return by_rows_into(out, x, columns, |x, out| {
            bfloat16::by_columns(how, x, columns, lying, out);
        });
    }
    let is_rounded = weight.dtype() == DType::BF16;
    let weight = dense(widened(weight));
    by_rows_into(out, x, columns, |x, out| {
        let rounded = is_rounded.then(|| bfloat16::rounded(x));
        let x = rounded.as_deref().unwrap_or(x);
        let x = View::contiguous(x, [x.len() / width, width]);
        multiply_and(how, x, last_two_of(&weight, 0), out, columns);
    })
}

/// The scheme of weights, `[in, out]`, in an [`Order`] of their own, which only what is here reads: as nothing of Burn's
/// on a processor does, it packs inputs of an output into words.
fn scheme(order: Order) -> QuantScheme {
    QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::PackedU32(1))
        .per_block([order.block as u8, 1], ScaleDtype::F32)
}

/// `weight` as integers, with the scales of blocks of inputs of an output.
pub(super) fn rounded(weight: FlexTensor) -> FlexQTensor {
    let shape = weight.shape().dims();
    let lying = widened(weight).transpose(0, 1).to_contiguous();
    let mut rounding = Rounding::new(shape);
    rounding.push(values(&lying));
    rounding.weight()
}

/// What [`rounded`] does, to a weight that comes some outputs at a time.
pub(super) struct Rounding(Rounder);

impl Rounding {
    /// For a weight, `[in, out]`.
    pub(super) fn new([width, columns]: [usize; 2]) -> Self {
        Self(Rounder::new(Order::new(columns, width)))
    }

    /// The inputs of the next outputs.
    pub(super) fn push(&mut self, outputs: &[f32]) {
        self.0.push(outputs);
    }

    /// The weight, when all has come.
    pub(super) fn weight(self) -> FlexQTensor {
        let Rounder {
            lines,
            scales,
            order,
            ..
        } = self.0;
        let layout = Layout::contiguous(Shape::new([order.width, order.columns]));
        let values = FlexTensor::new(Bytes::from_elems(lines), layout, DType::I8);
        FlexQTensor::new(values, scheme(order), scales, None)
    }
}

/// The integers of what comes from [`rounded`].
pub(super) fn integers(weight: &FlexQTensor) -> Option<Matrix<'_>> {
    let [width, columns]: [usize; 2] = weight.shape().dims();
    let order = Order::new(columns, width);
    let is_rounded = weight.dtype() == DType::QFloat(scheme(order));
    is_rounded.then(|| Matrix::new(weight.tensor().bytes(), weight.scales(), order))
}

/// The numbers that integers stand for, `[in, out]`, as numbers of another type than f32.
pub(super) fn numbers(weight: &Matrix<'_>, dtype: FloatDType) -> FlexTensor {
    let Order { columns, width, .. } = weight.order;
    let mut place = Vec::new();
    weight.widen(0..columns, &mut place);
    let layout = Layout::contiguous(Shape::new([columns, width]));
    let numbers = FlexTensor::new(Bytes::from_elems(place), layout, DType::F32);
    <Flex as FloatTensorOps<Flex>>::float_cast(numbers.transpose(0, 1), dtype)
}

/// `x · weight`.
pub(super) fn forward_rounded(x: &FlexTensor, weight: &Matrix<'_>) -> FlexTensor {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    let mut out = empty(Shape::new([batch, length, weight.order.columns]));
    if out.layout().num_elements() > 0 {
        int8::multiply(values(&x.to_contiguous()), weight, out.storage_mut());
    }
    out
}

/// The gradient of `x` from that of `x · weight`, as if `x` were not rounded.
pub(super) fn backward_rounded(gradient: &FlexTensor, weight: &Matrix<'_>) -> FlexTensor {
    let Order { columns, width, .. } = weight.order;
    by_rows(gradient, width, |gradient, out| {
        let widen = |rows, place: &mut _| weight.widen(rows, place);
        multiply_widened(Accum::Replace, gradient, [columns, width], widen, out);
    })
}
