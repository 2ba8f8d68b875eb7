//! The operations written with tensor operations, for any backend and float type.

use burn::backend::tensor::{FloatTensor, IntTensor, QuantizedTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{FloatDType, IndexingUpdateOp, Shape, TensorData};

use super::{AttentionGradients, AttentionInputs, Bias, FusedBackward, FusedOps, Probabilities};

/// `2 · sqrt(2/π)`.
pub(super) const TWICE_SQRT_2_OVER_PI: f64 = 1.595_769_121_605_730_8;
/// The cubic term of the tanh form of GELU.
pub(super) const CUBIC: f64 = 0.044_715;

fn last_dim<B: Backend>(x: &FloatTensor<B>) -> usize {
    x.shape().num_dims() - 1
}

/// `1 / rms(x)`, with 1 for the last size.
pub(super) fn reciprocal_rms<B: Backend>(x: FloatTensor<B>, epsilon: f32) -> FloatTensor<B> {
    let dim = last_dim::<B>(&x);
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x), dim);
    B::float_recip(B::float_sqrt(B::float_add_scalar(mean, epsilon.into())))
}

fn as_row<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    let width = weight.shape().num_elements();
    B::float_reshape(weight, Shape::new([1, 1, width]))
}

pub(super) fn rms_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let r = reciprocal_rms::<B>(x.clone(), epsilon);
    B::float_mul(B::float_mul(x, r), as_row::<B>(weight))
}

pub(super) fn rms_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let r = reciprocal_rms::<B>(x.clone(), epsilon);
    let weighted = B::float_mul(gradient, as_row::<B>(weight));
    let dim = last_dim::<B>(&x);
    let mean = B::float_mean_dim(B::float_mul(weighted.clone(), x.clone()), dim);
    let k = B::float_mul(mean, B::float_mul(r.clone(), r.clone()));
    B::float_mul(B::float_sub(weighted, B::float_mul(x, k)), r)
}

/// `[batch, length, width]` as `[batch · length, width]`.
pub(super) fn rows<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, length, width]: [usize; 3] = x.shape().dims();
    B::float_reshape(x, Shape::new([batch * length, width]))
}

pub(super) fn linear<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, length, _]: [usize; 3] = x.shape().dims();
    let [_, out]: [usize; 2] = weight.shape().dims();
    let product = B::float_matmul(rows::<B>(x), weight);
    B::float_reshape(product, Shape::new([batch, length, out]))
}

/// With a product that is added afterwards.
pub(super) fn linear_onto<B: FusedOps>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    residual: FloatTensor<B>,
) -> FloatTensor<B> {
    let dtype = residual.dtype().into();
    B::float_add(residual, B::t5_linear(x, weight, dtype))
}

pub(super) fn weight_backward<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(B::float_transpose(rows::<B>(x)), rows::<B>(gradient))
}

/// With the numbers that integers stand for.
pub(super) fn linear_rounded<B: FusedOps>(
    x: FloatTensor<B>,
    weight: QuantizedTensor<B>,
    dtype: FloatDType,
) -> FloatTensor<B> {
    let weight = B::dequantize(weight, x.dtype().into());
    B::t5_linear(x, weight, dtype)
}

pub(super) fn linear_rounded_backward<B: FusedBackward>(
    weight: QuantizedTensor<B>,
    gradient: FloatTensor<B>,
    dtype: FloatDType,
) -> FloatTensor<B> {
    let weight = B::dequantize(weight, gradient.dtype().into());
    B::t5_linear_backward(weight, gradient, dtype)
}

/// `sigmoid(2u)` and the derivative of the GELU.
fn gelu_parts<B: Backend>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let square = B::float_mul(x.clone(), x.clone());
    let polynomial = |factor: f64| {
        let cubic = B::float_mul_scalar(square.clone(), factor.into());
        let sum = B::float_add_scalar(cubic, 1_f64.into());
        B::float_mul_scalar(sum, TWICE_SQRT_2_OVER_PI.into())
    };
    let s = B::sigmoid(B::float_mul(x.clone(), polynomial(CUBIC)));
    let y = B::float_mul(x, s.clone());
    let rest = B::float_add_scalar(B::float_neg(s.clone()), 1_f32.into());
    let slope = B::float_mul(B::float_mul(y, rest), polynomial(3.0 * CUBIC));
    let derivative = B::float_add(s.clone(), slope);
    (s, derivative)
}

pub(super) fn gated_gelu<B: Backend>(
    gate: FloatTensor<B>,
    value: FloatTensor<B>,
) -> FloatTensor<B> {
    let (s, _) = gelu_parts::<B>(gate.clone());
    B::float_mul(B::float_mul(gate, s), value)
}

pub(super) fn gated_gelu_backward<B: Backend>(
    gate: FloatTensor<B>,
    value: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (s, derivative) = gelu_parts::<B>(gate.clone());
    let y = B::float_mul(gate, s);
    let d_gate = B::float_mul(B::float_mul(gradient.clone(), value), derivative);
    (d_gate, B::float_mul(gradient, y))
}

/// A bias as one tensor that broadcasts to `[batch, heads, queries, keys]`.
fn whole_bias<B: Backend>(bias: Bias<B>, queries: usize, keys: usize) -> FloatTensor<B> {
    let (by_distance, hidden) = match bias {
        Bias::Whole(bias) => return bias,
        Bias::Parts {
            by_distance,
            hidden,
        } => (by_distance, hidden),
    };
    let whole = |part: FloatTensor<B>, shape| match part.shape().num_dims() {
        1 => B::float_reshape(part, Shape::new([1, 1, 1, 1])),
        _ => B::float_reshape(part, shape),
    };
    let hidden_shape = Shape::new([hidden.shape()[0], 1, 1, keys]);
    let hidden = whole(hidden, hidden_shape);
    if by_distance.shape().num_dims() == 1 {
        return B::float_add(whole(by_distance, Shape::new([1])), hidden);
    }
    let heads = by_distance.shape()[0];
    let places: Vec<i32> = (0..queries)
        .flat_map(|query| (0..keys).map(move |key| (queries - 1 - query + key) as i32))
        .collect();
    let places = TensorData::new(places, [queries * keys]);
    let places = B::int_from_data(places, &by_distance.device());
    let position = B::float_select(by_distance, 1, places);
    let position = B::float_reshape(position, Shape::new([1, heads, queries, keys]));
    B::float_add(position, hidden)
}

fn probabilities<B: Backend>(
    queries: FloatTensor<B>,
    keys: FloatTensor<B>,
    bias: Bias<B>,
) -> FloatTensor<B> {
    let bias = whole_bias::<B>(bias, queries.shape()[2], keys.shape()[2]);
    let scores = B::float_matmul(queries, B::float_swap_dims(keys, 2, 3));
    B::softmax(B::float_add(scores, bias), 3)
}

pub(super) fn attention_kept<B: Backend>(
    inputs: AttentionInputs<B>,
    bias: Bias<B>,
    recompute: bool,
) -> (FloatTensor<B>, Probabilities<B>) {
    let [batch, heads, length, d_kv]: [usize; 4] = inputs.queries.shape().dims();
    let p = probabilities::<B>(inputs.queries, inputs.keys, bias.clone());
    let kept = Probabilities::of(recompute, &p, bias);
    let out = B::float_swap_dims(B::float_matmul(p, inputs.values), 1, 2);
    let out = B::float_reshape(out, Shape::new([batch, length, heads * d_kv]));
    (out, kept)
}

pub(super) fn attention_backward<B: Backend>(
    inputs: AttentionInputs<B>,
    probabilities: Probabilities<B>,
    gradient: FloatTensor<B>,
    want_scores: bool,
) -> AttentionGradients<B> {
    let p = match probabilities {
        Probabilities::Kept(kept) => kept,
        Probabilities::Of(bias) => {
            self::probabilities::<B>(inputs.queries.clone(), inputs.keys.clone(), bias)
        }
    };
    let [batch, heads, length, d_kv]: [usize; 4] = inputs.queries.shape().dims();
    let gradient = B::float_reshape(gradient, Shape::new([batch, length, heads, d_kv]));
    let gradient = B::float_swap_dims(gradient, 1, 2);
    let values = B::float_matmul(B::float_swap_dims(p.clone(), 2, 3), gradient.clone());
    let d_p = B::float_matmul(gradient, B::float_swap_dims(inputs.values, 2, 3));
    let weighted = B::float_mul(p.clone(), d_p);
    let sum = B::float_sum_dim(weighted.clone(), 3);
    let scores = B::float_sub(weighted, B::float_mul(p, sum));
    AttentionGradients {
        queries: B::float_matmul(scores.clone(), inputs.keys),
        keys: B::float_matmul(B::float_swap_dims(scores.clone(), 2, 3), inputs.queries),
        values,
        scores: want_scores.then_some(scores),
    }
}

/// The labels as a column, with 0 for ignored ones, and 1 where a label counts, else 0.
fn split_labels<B: Backend>(
    logits: &FloatTensor<B>,
    labels: IntTensor<B>,
) -> (IntTensor<B>, FloatTensor<B>) {
    let rows = labels.shape().num_elements();
    let labels = B::int_reshape(labels, Shape::new([rows, 1]));
    let next = B::int_add_scalar(labels.clone(), 1.into());
    let counted = B::int_clamp(next, 0.into(), 1.into());
    (
        B::int_clamp_min(labels, 0.into()),
        B::int_into_float(counted, logits.dtype().into()),
    )
}

pub(super) fn negative_log_likelihood<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let rows = labels.shape().num_elements();
    let (target, counted) = split_labels::<B>(&logits, labels);
    let top = B::float_max_dim(logits.clone(), 1);
    let exp = B::float_exp(B::float_sub(logits.clone(), top.clone()));
    let sums = B::float_add(B::float_log(B::float_sum_dim(exp, 1)), top);
    let nll = B::float_sub(sums.clone(), B::float_gather(1, logits, target));
    let flat = |x| B::float_reshape(x, Shape::new([rows]));
    (flat(B::float_mul(nll, counted)), flat(sums))
}

pub(super) fn negative_log_likelihood_backward<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    sums: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let rows = labels.shape().num_elements();
    let (target, counted) = split_labels::<B>(&logits, labels);
    let column = |x| B::float_reshape(x, Shape::new([rows, 1]));
    let gradient = B::float_mul(column(gradient), counted);
    let softmax = B::float_exp(B::float_sub(logits, column(sums)));
    let scaled = B::float_mul(softmax, gradient.clone());
    B::float_scatter(
        1,
        scaled,
        target,
        B::float_neg(gradient),
        IndexingUpdateOp::Add,
    )
}
