//! The operations on the CPU: f32, vectorised, rows or examples split between the threads of the current pool.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, FloatDType, Shape};
use burn_flex::{FlexQTensor, FlexTensor, Layout};
use faer::MatRef;
use rayon::prelude::*;

use super::matrix::{contiguous, matrix, multiply};
use super::{
    AttentionGradients, AttentionInputs, Bias, FusedBackward, FusedOps, kernels, linear, portable,
};

/// Fewer elements than this are not worth a second thread.
const ELEMENTS_PER_THREAD: usize = 1 << 14;

impl FusedOps for Flex {
    fn t5_rms_norm(
        x: FlexTensor,
        weight: FlexTensor,
        epsilon: f32,
        _dtype: FloatDType,
    ) -> FlexTensor {
        if !all_f32(&[&x, &weight]) {
            return portable::rms_norm::<Self>(x, weight, epsilon);
        }
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let weight = values(&weight);
        let mut out = empty(x.shape());
        let chunk = chunk(x.layout().num_elements(), weight.len());
        out.storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(values(&x).par_chunks(chunk))
            .for_each(|(out, x)| kernels::rms_norm(x, weight, epsilon, out));
        out
    }

    fn t5_linear(x: FlexTensor, weight: FlexTensor, _dtype: FloatDType) -> FlexTensor {
        if !linear::suits(&x, &weight) {
            return portable::linear::<Self>(x, linear::widened(weight));
        }
        linear::forward(&x, weight)
    }

    fn t5_linear_onto(x: FlexTensor, weight: FlexTensor, residual: FlexTensor) -> FlexTensor {
        if !linear::suits(&x, &weight) || residual.dtype() != DType::F32 {
            return portable::linear_onto::<Self>(x, weight, residual);
        }
        linear::forward_onto(residual, &x, weight)
    }

    fn t5_rounded(weight: FlexTensor) -> FlexQTensor {
        linear::rounded(weight)
    }

    fn t5_linear_rounded(x: FlexTensor, weight: FlexQTensor, dtype: FloatDType) -> FlexTensor {
        match linear::integers(&weight) {
            Some(integers) if x.dtype() == DType::F32 => linear::forward_rounded(&x, &integers),
            _ => portable::linear_rounded::<Self>(x, weight, dtype),
        }
    }

    fn t5_gated_gelu(gate: FlexTensor, value: FlexTensor) -> FlexTensor {
        if !all_f32(&[&gate, &value]) {
            return portable::gated_gelu::<Self>(gate, value);
        }
        let (gate, value) = (gate.to_contiguous(), value.to_contiguous());
        let mut out = empty(gate.shape());
        let chunk = chunk(gate.layout().num_elements(), 1);
        out.storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(values(&gate).par_chunks(chunk))
            .zip(values(&value).par_chunks(chunk))
            .for_each(|((out, gate), value)| kernels::gated_gelu(gate, value, out));
        out
    }

    fn t5_attention(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        bias: FlexTensor,
        _recompute: bool,
    ) -> FlexTensor {
        if !all_f32(&[&queries, &keys, &values, &bias]) {
            return portable::attention::<Self>(queries, keys, values, bias).0;
        }
        attention(queries, keys, values, bias, None)
    }

    fn t5_attention_parts(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        by_distance: FlexTensor,
        hidden: FlexTensor,
        recompute: bool,
    ) -> FlexTensor {
        let parts = Bias::<Self>::Parts {
            by_distance,
            hidden,
        };
        let bias = portable::whole_bias(parts, queries.shape()[2], keys.shape()[2]);
        Self::t5_attention(queries, keys, values, bias, recompute)
    }

    fn t5_nll(logits: FlexTensor, labels: IntTensor<Self>) -> FlexTensor {
        Self::t5_nll_sums(logits, labels).0
    }
}

impl FusedBackward for Flex {
    fn t5_rms_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        epsilon: f32,
    ) -> FlexTensor {
        if !all_f32(&[&x, &weight, &gradient]) {
            return portable::rms_norm_backward::<Self>(x, weight, gradient, epsilon);
        }
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let weight = weight.to_contiguous();
        let weight = values(&weight);
        let mut out = empty(x.shape());
        let chunk = chunk(x.layout().num_elements(), weight.len());
        out.storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(values(&x).par_chunks(chunk))
            .zip(values(&gradient).par_chunks(chunk))
            .for_each(|((out, x), g)| kernels::rms_norm_backward(x, weight, g, epsilon, out));
        out
    }

    fn t5_linear_backward(
        weight: FlexTensor,
        gradient: FlexTensor,
        _dtype: FloatDType,
    ) -> FlexTensor {
        if !linear::suits(&gradient, &weight) {
            let weight = linear::widened(weight).transpose(0, 1);
            return portable::linear::<Self>(gradient, weight);
        }
        linear::backward(&gradient, weight)
    }

    fn t5_weight_backward(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !all_f32(&[&x, &gradient]) {
            return portable::weight_backward::<Self>(x, gradient);
        }
        linear::backward_to_weight(&x, &gradient)
    }

    fn t5_linear_rounded_backward(
        weight: FlexQTensor,
        gradient: FlexTensor,
        dtype: FloatDType,
    ) -> FlexTensor {
        match linear::integers(&weight) {
            Some(integers) if gradient.dtype() == DType::F32 => {
                linear::backward_rounded(&gradient, &integers)
            }
            _ => portable::linear_rounded_backward::<Self>(weight, gradient, dtype),
        }
    }

    fn t5_gated_gelu_backward(
        gate: FlexTensor,
        value: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        if !all_f32(&[&gate, &value, &gradient]) {
            return portable::gated_gelu_backward::<Self>(gate, value, gradient);
        }
        let (gate, value) = (gate.to_contiguous(), value.to_contiguous());
        let mut d_value = gradient.to_contiguous();
        let mut d_gate = empty(gate.shape());
        let chunk = chunk(gate.layout().num_elements(), 1);
        d_gate
            .storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(d_value.storage_mut::<f32>().par_chunks_mut(chunk))
            .zip(values(&gate).par_chunks(chunk))
            .zip(values(&value).par_chunks(chunk))
            .for_each(|(((d_gate, g), gate), value)| {
                kernels::gated_gelu_backward(gate, value, g, d_gate);
            });
        (d_gate, d_value)
    }

    fn t5_probabilities(queries: FlexTensor, keys: FlexTensor, bias: Bias<Self>) -> FlexTensor {
        let [batch, heads, length, _]: [usize; 4] = queries.shape().dims();
        let [_, _, key_length, _]: [usize; 4] = keys.shape().dims();
        let bias = portable::whole_bias(bias, length, key_length);
        if !all_f32(&[&queries, &keys, &bias]) {
            return portable::probabilities::<Self>(queries, keys, bias);
        }
        let shape = Shape::new([batch, heads, length, key_length]);
        let mut out = empty(shape);
        let size = length * key_length;
        if out.layout().num_elements() == 0 {
            return out;
        }
        let scores = Scores::new(queries, keys, bias);
        out.storage_mut::<f32>()
            .par_chunks_mut(heads * size)
            .enumerate()
            .for_each(|(example, out)| {
                for (head, out) in out.chunks_mut(size).enumerate() {
                    scores.probabilities(example, head, out);
                }
            });
        out
    }

    fn t5_attention_probabilities(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        bias: Bias<Self>,
    ) -> (FlexTensor, FlexTensor) {
        let [batch, heads, length, _]: [usize; 4] = queries.shape().dims();
        let [_, _, key_length, _]: [usize; 4] = keys.shape().dims();
        let bias = portable::whole_bias(bias, length, key_length);
        if !all_f32(&[&queries, &keys, &values, &bias]) {
            return portable::attention::<Self>(queries, keys, values, bias);
        }
        let mut probabilities = empty(Shape::new([batch, heads, length, key_length]));
        let out = attention(queries, keys, values, bias, Some(&mut probabilities));
        (out, probabilities)
    }

    fn t5_attention_backward(
        inputs: AttentionInputs<Self>,
        probabilities: FlexTensor,
        gradient: FlexTensor,
        want_scores: bool,
    ) -> AttentionGradients<Self> {
        let given = &inputs;
        if !all_f32(&[&given.queries, &given.keys, &given.values, &gradient]) {
            return portable::attention_backward::<Self>(
                inputs,
                probabilities,
                gradient,
                want_scores,
            );
        }
        attention_backward(inputs, probabilities, gradient, want_scores)
    }

    fn t5_nll_sums(logits: FlexTensor, labels: IntTensor<Self>) -> (FlexTensor, FlexTensor) {
        let Some(targets) = targets(&logits, &labels) else {
            return portable::negative_log_likelihood::<Self>(logits, labels);
        };
        let logits = logits.to_contiguous();
        let [rows, width]: [usize; 2] = logits.shape().dims();
        let (mut nll, mut sums) = (empty(Shape::new([rows])), empty(Shape::new([rows])));
        nll.storage_mut::<f32>()
            .par_iter_mut()
            .zip(sums.storage_mut::<f32>())
            .zip(values(&logits).par_chunks(width.max(1)))
            .zip(&targets)
            .for_each(|(((nll, sum), logits), target)| match *target {
                Some(target) => {
                    *sum = kernels::log_sum_exp(logits);
                    *nll = *sum - logits[target];
                }
                None => (*sum, *nll) = (0.0, 0.0),
            });
        (nll, sums)
    }

    fn t5_nll_backward(
        logits: FlexTensor,
        labels: IntTensor<Self>,
        sums: FlexTensor,
        gradient: FlexTensor,
    ) -> FlexTensor {
        let Some(targets) = targets(&logits, &labels) else {
            return portable::negative_log_likelihood_backward::<Self>(
                logits, labels, sums, gradient,
            );
        };
        let (logits, gradient) = (logits.to_contiguous(), gradient.to_contiguous());
        let [_, width]: [usize; 2] = logits.shape().dims();
        let mut out = empty(logits.shape());
        out.storage_mut::<f32>()
            .par_chunks_mut(width.max(1))
            .zip(values(&logits).par_chunks(width.max(1)))
            .zip(values(&sums))
            .zip(values(&gradient))
            .zip(&targets)
            .for_each(|((((out, logits), &sum), &g), target)| match *target {
                Some(target) => {
                    kernels::scaled_softmax(logits, sum, g, out);
                    out[target] -= g;
                }
                None => out.fill(0.0),
            });
        out
    }
}

/// [`super::attention`]; probabilities are kept where there is a place for them.
fn attention(
    queries: FlexTensor,
    keys: FlexTensor,
    values: FlexTensor,
    bias: FlexTensor,
    keep: Option<&mut FlexTensor>,
) -> FlexTensor {
    let [batch, heads, length, d_kv]: [usize; 4] = queries.shape().dims();
    let [_, _, key_length, _]: [usize; 4] = keys.shape().dims();
    let scores_size = length * key_length;
    let width = heads * d_kv;
    let mut out = empty(Shape::new([batch, length, width]));
    if out.layout().num_elements() == 0 {
        return out;
    }
    let values = dense(values);
    let scores_of = Scores::new(queries, keys, bias);
    let one = |example: usize, probabilities: &mut [f32], out: &mut [f32], all: bool| {
        for head in 0..heads {
            let start = if all { head * scores_size } else { 0 };
            let scores = &mut probabilities[start..][..scores_size];
            scores_of.probabilities(example, head, scores);
            let p = contiguous(scores, [length, key_length]);
            let v = head_of(&values, example, head);
            multiply(p, v, &mut out[head * d_kv..], width);
        }
    };
    let examples = out
        .storage_mut::<f32>()
        .par_chunks_mut(length * width)
        .enumerate();
    match keep {
        Some(kept) => examples
            .zip(
                kept.storage_mut::<f32>()
                    .par_chunks_mut(heads * scores_size),
            )
            .for_each(|((example, out), kept)| one(example, kept, out, true)),
        None => examples.for_each_init(
            || vec![0.0; scores_size],
            |scores, (example, out)| one(example, scores, out, false),
        ),
    }
    out
}

/// Queries, keys and what is added to their products.
struct Scores {
    queries: FlexTensor,
    keys: FlexTensor,
    bias: Broadcast,
    key_length: usize,
}

impl Scores {
    fn new(queries: FlexTensor, keys: FlexTensor, bias: FlexTensor) -> Self {
        let [batch, heads, length, _]: [usize; 4] = queries.shape().dims();
        let [_, _, key_length, _]: [usize; 4] = keys.shape().dims();
        Self {
            queries: dense(queries),
            keys: dense(keys),
            bias: Broadcast::new(positive(bias), [batch, heads, length, key_length]),
            key_length,
        }
    }

    /// The probabilities of a head, `[queries, keys]`.
    fn probabilities(&self, example: usize, head: usize, out: &mut [f32]) {
        let q = head_of(&self.queries, example, head);
        let k = head_of(&self.keys, example, head);
        multiply(q, k.transpose(), out, self.key_length);
        let (bias, stride) = self.bias.rows(example, head);
        kernels::softmax(out, self.key_length, bias, stride);
    }
}

/// Gradients are laid out as `[batch, length, heads, d_kv]` and given as views with heads before length, so that the
/// projections below find them contiguous.
fn attention_backward(
    inputs: AttentionInputs<Flex>,
    probabilities: FlexTensor,
    gradient: FlexTensor,
    want_scores: bool,
) -> AttentionGradients<Flex> {
    let [batch, heads, length, d_kv]: [usize; 4] = inputs.queries.shape().dims();
    let [_, _, key_length, _]: [usize; 4] = inputs.keys.shape().dims();
    let scores_size = length * key_length;
    let width = heads * d_kv;
    let gradient = gradient.to_contiguous();
    let (queries, keys, values_) = (
        dense(inputs.queries),
        dense(inputs.keys),
        dense(inputs.values),
    );
    let by_length = |length: usize| empty(Shape::new([batch, length, heads, d_kv]));
    let mut d_queries = by_length(length);
    let (mut d_keys, mut d_values) = (by_length(key_length), by_length(key_length));
    let mut d_scores = want_scores.then(|| empty(probabilities.shape()));

    let one = |example: usize, [dq, dk, dv]: [&mut [f32]; 3], ds: &mut [f32], all: bool| {
        let p = &values(&probabilities)[example * heads * scores_size..];
        let g = &values(&gradient)[example * length * width..];
        for head in 0..heads {
            let start = if all { head * scores_size } else { 0 };
            let ds = &mut ds[start..][..scores_size];
            let p = &p[head * scores_size..][..scores_size];
            let probabilities = contiguous(p, [length, key_length]);
            let to = head * d_kv;
            let g = matrix(&g[to..], [length, d_kv], [width, 1]);
            multiply(probabilities.transpose(), g, &mut dv[to..], width);
            let v = head_of(&values_, example, head);
            multiply(g, v.transpose(), ds, key_length);
            kernels::softmax_backward(p, key_length, ds);
            let scores = contiguous(ds, [length, key_length]);
            let k = head_of(&keys, example, head);
            multiply(scores, k, &mut dq[to..], width);
            let q = head_of(&queries, example, head);
            multiply(scores.transpose(), q, &mut dk[to..], width);
        }
    };
    if batch * width * length * key_length > 0 {
        let examples = d_queries
            .storage_mut::<f32>()
            .par_chunks_mut(length * width)
            .zip(
                d_keys
                    .storage_mut::<f32>()
                    .par_chunks_mut(key_length * width),
            )
            .zip(
                d_values
                    .storage_mut::<f32>()
                    .par_chunks_mut(key_length * width),
            )
            .enumerate();
        match &mut d_scores {
            Some(kept) => examples
                .zip(
                    kept.storage_mut::<f32>()
                        .par_chunks_mut(heads * scores_size),
                )
                .for_each(|((example, ((dq, dk), dv)), ds)| one(example, [dq, dk, dv], ds, true)),
            None => examples.for_each_init(
                || vec![0.0; scores_size],
                |ds, (example, ((dq, dk), dv))| one(example, [dq, dk, dv], ds, false),
            ),
        }
    }
    AttentionGradients {
        queries: d_queries.transpose(1, 2),
        keys: d_keys.transpose(1, 2),
        values: d_values.transpose(1, 2),
        scores: d_scores,
    }
}

/// A tensor as large as scores, that may be smaller in some dimensions.
struct Broadcast {
    tensor: FlexTensor,
    strides: [usize; 3],
}

impl Broadcast {
    fn new(tensor: FlexTensor, size: [usize; 4]) -> Self {
        let given: [usize; 4] = tensor.shape().dims();
        // The kernel reads whole rows.
        let dense = given[3] == size[3] && (tensor.layout().strides()[3] == 1 || size[3] == 1);
        let tensor = if dense {
            tensor
        } else {
            let last = [given[0], given[1], given[2], size[3]];
            expand(tensor, Shape::new(last)).to_contiguous()
        };
        let layout = tensor.layout();
        let stride = |dim: usize| match layout.shape()[dim] {
            1 => 0,
            _ => layout.strides()[dim].unsigned_abs(),
        };
        let strides = [stride(0), stride(1), stride(2)];
        Self { tensor, strides }
    }

    /// The rows of a head, and how far apart they are.
    fn rows(&self, example: usize, head: usize) -> (&[f32], usize) {
        let start = self.tensor.layout().start_offset();
        let offset = start + example * self.strides[0] + head * self.strides[1];
        (&self.tensor.storage::<f32>()[offset..], self.strides[2])
    }
}

fn expand(tensor: FlexTensor, shape: Shape) -> FlexTensor {
    <Flex as FloatTensorOps<Flex>>::float_expand(tensor, shape)
}

/// One head of one example of `[batch, heads, length, d_kv]`.
fn head_of(x: &FlexTensor, example: usize, head: usize) -> MatRef<'_, f32> {
    let strides = x.layout().strides();
    let offset = example * strides[0].unsigned_abs() + head * strides[1].unsigned_abs();
    last_two_of(x, offset)
}

/// The matrix of the last two dimensions that begins `offset` elements after the tensor's first.
pub(super) fn last_two_of(x: &FlexTensor, offset: usize) -> MatRef<'_, f32> {
    let layout = x.layout();
    let columns = layout.strides().len() - 1;
    let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
    matrix(
        &x.storage()[layout.start_offset() + offset..],
        [layout.shape()[columns - 1], layout.shape()[columns]],
        [stride(columns - 1), stride(columns)],
    )
}

/// `x` itself, unless it runs backwards somewhere or has neither dense rows nor dense columns.
pub(super) fn dense(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[strides.len() - 2..].contains(&1) {
        positive(x)
    } else {
        x.to_contiguous()
    }
}

/// `x` itself, unless it runs backwards somewhere.
fn positive(x: FlexTensor) -> FlexTensor {
    if x.layout().strides().iter().all(|&stride| stride >= 0) {
        x
    } else {
        x.to_contiguous()
    }
}

/// The labels, `None` where one is ignored; nothing at all where this is not for f32 and i32 or i64.
fn targets(logits: &FlexTensor, labels: &IntTensor<Flex>) -> Option<Vec<Option<usize>>> {
    if logits.dtype() != DType::F32 {
        return None;
    }
    let labels = labels.to_contiguous();
    match labels.dtype() {
        DType::I32 => {
            let labels = labels.as_slice::<i32>()?;
            Some(labels.iter().map(|&l| usize::try_from(l).ok()).collect())
        }
        DType::I64 => {
            let labels = labels.as_slice::<i64>()?;
            Some(labels.iter().map(|&l| usize::try_from(l).ok()).collect())
        }
        _ => None,
    }
}

fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Zeros. Not [`FlexTensor::empty`], whose bytes are aligned by copying them once more.
pub(super) fn empty(shape: Shape) -> FlexTensor {
    let zeros = vec![0.0_f32; shape.num_elements()];
    FlexTensor::new(
        Bytes::from_elems(zeros),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// The elements of a contiguous f32 tensor.
pub(super) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    let layout = tensor.layout();
    debug_assert!(layout.is_contiguous(), "read as a slice");
    &tensor.storage::<f32>()[layout.start_offset()..][..layout.num_elements()]
}

/// How many of `elements`, whole rows of `width`, one thread should take at a time.
fn chunk(elements: usize, width: usize) -> usize {
    let threads = rayon::current_num_threads();
    if threads == 1 {
        return elements.max(1);
    }
    let rows = (ELEMENTS_PER_THREAD / width.max(1)).max(1);
    rows * width.max(1)
}
