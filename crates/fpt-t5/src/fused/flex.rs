//! The operations on the CPU: f32, vectorised, rows or examples split between the threads of the current pool.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, FloatDType, Shape};
use burn_flex::{FlexQTensor, FlexTensor, Layout};
use rayon::prelude::*;

use super::matrix::View;
use super::{
    AttentionGradients, AttentionInputs, Bias, FusedBackward, FusedOps, Probabilities, attention,
    kernels, linear, portable,
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
            Some(integers) => {
                let weight = linear::numbers(&integers, x.dtype().into());
                portable::linear::<Self>(x, weight)
            }
            None => portable::linear_rounded::<Self>(x, weight, dtype),
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
        let inputs = AttentionInputs {
            queries,
            keys,
            values,
        };
        Self::t5_attention_kept(inputs, Bias::Whole(bias), true).0
    }

    fn t5_attention_parts(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        by_distance: FlexTensor,
        hidden: FlexTensor,
        _recompute: bool,
    ) -> FlexTensor {
        let inputs = AttentionInputs {
            queries,
            keys,
            values,
        };
        let bias = Bias::Parts {
            by_distance,
            hidden,
        };
        Self::t5_attention_kept(inputs, bias, true).0
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
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let weight = values(&weight);
        let mut gradient = owned(gradient);
        let chunk = chunk(x.layout().num_elements(), weight.len());
        gradient
            .storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(values(&x).par_chunks(chunk))
            .for_each(|(g, x)| kernels::rms_norm_backward(x, weight, epsilon, g));
        gradient
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

    fn t5_linear_backward_onto(
        weight: FlexTensor,
        gradient: FlexTensor,
        before: FlexTensor,
        dtype: FloatDType,
    ) -> FlexTensor {
        if !linear::suits(&gradient, &weight) || before.dtype() != DType::F32 {
            let more = Self::t5_linear_backward(weight, gradient, dtype);
            return Self::float_add(before, more);
        }
        linear::backward_onto(before, &gradient, weight)
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
            Some(integers) => {
                let weight = linear::numbers(&integers, gradient.dtype().into());
                Self::t5_linear_backward(weight, gradient, dtype)
            }
            None => portable::linear_rounded_backward::<Self>(weight, gradient, dtype),
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
        let value = value.to_contiguous();
        // Each gradient takes the place of what it is computed from.
        let (mut gate, mut gradient) = (owned(gate), owned(gradient));
        let chunk = chunk(gate.layout().num_elements(), 1);
        gate.storage_mut::<f32>()
            .par_chunks_mut(chunk)
            .zip(gradient.storage_mut::<f32>().par_chunks_mut(chunk))
            .zip(values(&value).par_chunks(chunk))
            .for_each(|((gate, g), value)| kernels::gated_gelu_backward(gate, value, g));
        (gate, gradient)
    }

    fn t5_attention_kept(
        inputs: AttentionInputs<Self>,
        bias: Bias<Self>,
        recompute: bool,
    ) -> (FlexTensor, Probabilities<Self>) {
        if !attention::suits(&inputs, &bias) {
            return portable::attention_kept(inputs, bias, recompute);
        }
        let (out, kept) = attention::forward(inputs, bias.clone(), !recompute);
        (
            out,
            kept.map_or(Probabilities::Of(bias), Probabilities::Kept),
        )
    }

    fn t5_attention_backward(
        inputs: AttentionInputs<Self>,
        probabilities: Probabilities<Self>,
        gradient: FlexTensor,
        want_scores: bool,
    ) -> AttentionGradients<Self> {
        if !all_f32(&[&inputs.queries, &inputs.keys, &inputs.values, &gradient]) {
            return portable::attention_backward(inputs, probabilities, gradient, want_scores);
        }
        attention::backward(inputs, probabilities, gradient, want_scores)
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
        let (mut logits, gradient) = (owned(logits), gradient.to_contiguous());
        let [_, width]: [usize; 2] = logits.shape().dims();
        logits
            .storage_mut::<f32>()
            .par_chunks_mut(width.max(1))
            .zip(values(&sums))
            .zip(values(&gradient))
            .zip(&targets)
            .for_each(|(((logits, &sum), &g), target)| match *target {
                Some(target) => {
                    kernels::scaled_softmax(logits, sum, g);
                    logits[target] -= g;
                }
                None => logits.fill(0.0),
            });
        logits
    }
}

pub(super) fn expand(tensor: FlexTensor, shape: Shape) -> FlexTensor {
    <Flex as FloatTensorOps<Flex>>::float_expand(tensor, shape)
}

/// The matrix of the last two dimensions that begins `offset` elements after the tensor's first.
pub(super) fn last_two_of(x: &FlexTensor, offset: usize) -> View<'_> {
    let layout = x.layout();
    let columns = layout.strides().len() - 1;
    let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
    View::new(
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
pub(super) fn positive(x: FlexTensor) -> FlexTensor {
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

/// The numbers of `x` in their order and no others, so that they can be changed; a copy, if anything else has them.
pub(super) fn owned(x: FlexTensor) -> FlexTensor {
    // Not `to_contiguous` alone, which would share them with `x`.
    let x = if x.layout().is_contiguous() {
        x
    } else {
        x.to_contiguous()
    };
    if x.storage::<f32>().len() == x.layout().num_elements() {
        return x;
    }
    tensor(values(&x).to_vec(), x.shape())
}

fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Zeros. Not [`FlexTensor::empty`], whose bytes are aligned by copying them once more.
pub(super) fn empty(shape: Shape) -> FlexTensor {
    tensor(vec![0.0; shape.num_elements()], shape)
}

/// These numbers, as a tensor of `shape`.
pub(super) fn tensor(numbers: Vec<f32>, shape: Shape) -> FlexTensor {
    let layout = Layout::contiguous(shape);
    FlexTensor::new(Bytes::from_elems(numbers), layout, DType::F32)
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
