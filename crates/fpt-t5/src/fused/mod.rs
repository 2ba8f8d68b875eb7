//! T5's inner operations, each as one function with a backward pass of its own.
//!
//! A prompt-tuning step spends what is not matrix products on passes over activations: a softmax written with
//! tensor operations reads and writes the scores six times, a gated GELU ten times, and keeps every
//! intermediate for the backward pass. Here each is one pass forward and one backward, and keeps only its inputs
//! (attention also its probabilities, unless it is asked to compute them again). On the CPU they run vectorised
//! ([`flex`]), on CUDA and WGPU as kernels of their own ([`cube`]), elsewhere, as for f64, as tensor operations
//! ([`portable`]). Either way [`autodiff`] brings the one backward pass.
//!
//! Which types numbers have follows from the weights: see [`operand_dtype`].

mod attention;
mod autodiff;
mod bfloat16;
#[cfg(feature = "cube")]
mod cube;
mod few_rows;
mod flex;
mod int8;
mod kernels;
mod linear;
mod matrix;
mod narrow;
mod portable;
mod projected;
mod shortlist;
#[cfg(test)]
mod tests;

use burn::backend::tensor::{FloatTensor, IntTensor, QuantizedTensor};
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    backend_extension,
};
use burn::tensor::{DType, Device, FloatDType, Int, Tensor};

pub(crate) use kernels::{exp_sum, maxima};
pub(crate) use shortlist::{Identity, Shortlist};

/// The operations, on a backend's tensors.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub(crate) trait FusedOps: Backend {
    /// See [`rms_norm`].
    fn t5_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
    /// See [`linear`].
    fn t5_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
    /// See [`linear_onto`].
    fn t5_linear_onto(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// See [`rounded`].
    fn t5_rounded(weight: FloatTensor<Self>) -> QuantizedTensor<Self>;
    /// See [`linear`].
    fn t5_linear_rounded(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
    /// See [`gated_gelu`].
    fn t5_gated_gelu(gate: FloatTensor<Self>, value: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`attention`].
    fn t5_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        recompute: bool,
    ) -> FloatTensor<Self>;
    /// See [`attention`]; a part of the bias that there is not is a single number, `[1]`.
    fn t5_attention_parts(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        by_distance: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        recompute: bool,
    ) -> FloatTensor<Self>;
    /// See [`gated_gelu_of`].
    fn t5_projected_gelu(
        x: FloatTensor<Self>,
        of_gate: FloatTensor<Self>,
        of_value: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        projected::gated_gelu::<Self>(x, [of_gate, of_value], dtype)
    }
    /// See [`attention_of`] and [`t5_attention_parts`](Self::t5_attention_parts).
    #[allow(
        clippy::too_many_arguments,
        reason = "a backend is given tensors one by one"
    )]
    fn t5_projected_attention(
        x: FloatTensor<Self>,
        source: FloatTensor<Self>,
        of_queries: FloatTensor<Self>,
        of_keys: FloatTensor<Self>,
        of_values: FloatTensor<Self>,
        by_distance: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        let weights = [of_queries, of_keys, of_values];
        projected::attention::<Self>([x, source], weights, [by_distance, hidden], options)
    }
    /// See [`negative_log_likelihood`].
    fn t5_nll(logits: FloatTensor<Self>, labels: IntTensor<Self>) -> FloatTensor<Self>;
}

/// What the backward passes need of the backend below.
pub(crate) trait FusedBackward: FusedOps {
    /// Gradient of `x` from that of `x / sqrt(mean(x²) + ε) · weight`.
    fn t5_rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    /// Gradient of `x`, of type `dtype`, from that of `x · weight`.
    fn t5_linear_backward(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
    /// [`t5_linear_backward`](Self::t5_linear_backward), added to `before`.
    fn t5_linear_backward_onto(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        before: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        Self::float_add(before, Self::t5_linear_backward(weight, gradient, dtype))
    }
    /// Gradient of `weight` from that of `x · weight`.
    fn t5_weight_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of `x`, of type `dtype`, from that of `x · weight`.
    fn t5_linear_rounded_backward(
        weight: QuantizedTensor<Self>,
        gradient: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
    /// Gradients of `gate` and `value` from that of `gelu(gate) · value`.
    fn t5_gated_gelu_backward(
        gate: FloatTensor<Self>,
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// [`attention`], and what its backward pass gets of its probabilities.
    fn t5_attention_kept(
        inputs: AttentionInputs<Self>,
        bias: Bias<Self>,
        recompute: bool,
    ) -> (FloatTensor<Self>, Probabilities<Self>);
    /// Gradients of queries, keys, values and, where wanted, scores.
    fn t5_attention_backward(
        inputs: AttentionInputs<Self>,
        probabilities: Probabilities<Self>,
        gradient: FloatTensor<Self>,
        want_scores: bool,
    ) -> AttentionGradients<Self>;
    /// [`negative_log_likelihood`] and the logarithm of each row's sum of exponentials, `[rows]`.
    fn t5_nll_sums(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradient of the logits: `(softmax(logits) - onehot(labels)) · gradient`, zero where a label is ignored.
    fn t5_nll_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        sums: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// What is added to scores, on a backend: an [`AttentionBias`].
#[derive(Clone, Debug)]
pub(crate) enum Bias<B: Backend> {
    Whole(FloatTensor<B>),
    Parts {
        by_distance: FloatTensor<B>,
        hidden: FloatTensor<B>,
    },
}

/// What a backward pass gets of an attention's probabilities: them, `[batch, heads, queries, keys]`, or the bias to
/// compute them with again.
#[derive(Clone, Debug)]
pub(crate) enum Probabilities<B: Backend> {
    Kept(FloatTensor<B>),
    Of(Bias<B>),
}

impl<B: Backend> Probabilities<B> {
    /// Of probabilities that there are in any case.
    fn of(recompute: bool, probabilities: &FloatTensor<B>, bias: Bias<B>) -> Self {
        if recompute {
            Self::Of(bias)
        } else {
            Self::Kept(probabilities.clone())
        }
    }
}

/// What an attention multiplies.
#[derive(Clone, Debug)]
pub(crate) struct AttentionInputs<B: Backend> {
    queries: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
}

/// Gradients of an attention's inputs, each of its input's shape; that of the scores before any reduction to
/// the shape of the bias.
pub(crate) struct AttentionGradients<B: Backend> {
    queries: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    scores: Option<FloatTensor<B>>,
}

/// The type of what products with `weight` take, activations and their gradients, on the weight's device. It is the
/// weight's own; but a processor computes in f32 whatever its weights are.
pub(crate) fn operand_dtype(weight: &Tensor<2>) -> FloatDType {
    if is_gpu(&weight.device()) {
        weight.dtype().into()
    } else {
        FloatDType::F32
    }
}

/// Whether this device computes on its own, by kernels of CubeCL, with or without autodiff.
pub(crate) fn is_gpu(device: &Device) -> bool {
    #[cfg(feature = "cube")]
    {
        use burn::backend::DispatchDevice;
        matches!(
            device.clone().inner().as_dispatch(),
            DispatchDevice::Cube(_)
        )
    }
    #[cfg(not(feature = "cube"))]
    {
        let _ = device;
        false
    }
}

/// `x / sqrt(mean(x²) + ε) · weight` over the last axis of `[batch, length, d_model]`, as numbers of type `dtype`
/// (on a processor of the type of `x`); sums in f32.
///
/// Backward, with `r = 1 / sqrt(mean(x²) + ε)` and the gradient `g` of the result:
/// `dx = r · (g·w - x · r² · mean(g·w·x))` and `dw = Σ g · x · r` over all positions.
pub(crate) fn rms_norm(
    x: Tensor<3>,
    weight: Tensor<1>,
    epsilon: f64,
    dtype: FloatDType,
) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::t5_rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        epsilon as f32,
        dtype,
    ))
}

/// `x · weight`: `[batch, length, in]` and `[in, out]` to `[batch, length, out]`, as numbers of type `dtype` (on a
/// processor of the type of `x`); sums in f32.
///
/// Backward, with the gradient `g` of the result: `dx = g · weightᵀ`, and `dweight = xᵀ · g` where the weight is
/// trained, which a prompt's model is not: then `x` is not kept either.
pub(crate) fn linear(x: Tensor<3>, weight: Tensor<2>, dtype: FloatDType) -> Tensor<3> {
    let product = if is_rounded(&weight) {
        Dispatch::t5_linear_rounded
    } else {
        Dispatch::t5_linear
    };
    Tensor::from_dispatch(product(x.into_dispatch(), weight.into_dispatch(), dtype))
}

/// `residual + x · weight` in f32: [`linear`], added to `[batch, length, out]` while it is computed.
pub(crate) fn linear_onto(residual: Tensor<3>, x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    if is_rounded(&weight) {
        return residual + linear(x, weight, FloatDType::F32);
    }
    Tensor::from_dispatch(Dispatch::t5_linear_onto(
        x.into_dispatch(),
        weight.into_dispatch(),
        residual.into_dispatch(),
    ))
}

/// [`gated_gelu`] of what two weights, `[d_model, d_ff]`, make of `x`, `[batch, length, d_model]`, as numbers of type
/// `dtype`.
pub(crate) fn gated_gelu_of(
    x: Tensor<3>,
    [of_gate, of_value]: [Tensor<2>; 2],
    dtype: FloatDType,
) -> Tensor<3> {
    if is_rounded(&of_gate) || is_rounded(&of_value) {
        let gate = linear(x.clone(), of_gate, dtype);
        return gated_gelu(gate, linear(x, of_value, dtype));
    }
    Tensor::from_dispatch(Dispatch::t5_projected_gelu(
        x.into_dispatch(),
        of_gate.into_dispatch(),
        of_value.into_dispatch(),
        dtype,
    ))
}

fn is_rounded(weight: &Tensor<2>) -> bool {
    matches!(weight.dtype(), DType::QFloat(_))
}

/// `weight`, `[in, out]`, as integers of one byte with a scale for each block of inputs of each output, for
/// [`linear`], which then rounds `x` in the same way. It gets no gradient.
pub(crate) fn rounded<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::t5_rounded(weight.into_dispatch()))
}

/// What [`rounded`] makes on a processor, of a weight that is not there as a whole.
pub(crate) struct Rounding(linear::Rounding);

impl Rounding {
    /// For a weight, `[in, out]`.
    pub(crate) fn new(shape: [usize; 2]) -> Self {
        Self(linear::Rounding::new(shape))
    }

    /// The inputs of the next outputs.
    pub(crate) fn push(&mut self, outputs: &[f32]) {
        self.0.push(outputs);
    }

    /// The weight, `[in, out]`, when all outputs have come.
    pub(crate) fn weight<const D: usize>(self) -> Tensor<D> {
        Tensor::from_dispatch(DispatchTensor {
            kind: DispatchTensorKind::Flex(BackendTensor::Quantized(self.0.weight())),
            autodiff: DispatchAutodiffContext::Disabled,
        })
    }
}

/// `gelu(gate) · value`, both `[batch, length, d_ff]`, with the GELU in its tanh form,
/// `x/2 · (1 + tanh(u))` with `u = sqrt(2/π)(x + 0.044715 x³)`.
///
/// Since `(1 + tanh(u))/2 = sigmoid(2u) = s`, it is computed as `x · s`: the same function at a fraction of the
/// cost. Its derivative is `s + x · s · (1 - s) · 2u'` with `u' = sqrt(2/π)(1 + 3 · 0.044715 x²)`.
pub(crate) fn gated_gelu(gate: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::t5_gated_gelu(
        gate.into_dispatch(),
        value.into_dispatch(),
    ))
}

/// What is added to the scores of an attention.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are one or two in a forward pass"
)]
pub enum AttentionBias {
    /// One tensor that broadcasts to `[batch, heads, queries, keys]`. It may have a gradient.
    Whole(Tensor<4>),
    /// Parts that are added up score by score, in f32 and without gradients.
    Parts {
        /// Bias of the distance from query to key, `[heads, queries + keys - 1]`: that of query `i` and key `k` at
        /// `queries - 1 - i + k`.
        by_distance: Option<Tensor<2>>,
        /// Bias of the key, `[batch, keys]`.
        hidden: Option<Tensor<2>>,
    },
}

/// `softmax(queries · keysᵀ + bias) · values`: `[batch, heads, length, d_kv]` each, to
/// `[batch, queries, heads · d_kv]`, without copies for the layout of heads. Softmax in f32.
///
/// Backward, with the probabilities `p` and the gradient `g` of a head's output: `dv = pᵀ g`, `dp = g vᵀ`,
/// `ds = p · (dp - Σ p·dp)` over the keys, `dq = ds k`, `dk = dsᵀ q`, and `ds` is the bias's gradient. With `recompute`,
/// `p` is not kept but computed again.
pub(crate) fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    bias: AttentionBias,
    recompute: bool,
) -> Tensor<3> {
    let device = queries.device();
    let (queries, keys) = (queries.into_dispatch(), keys.into_dispatch());
    let values = values.into_dispatch();
    Tensor::from_dispatch(match bias {
        AttentionBias::Whole(bias) => {
            Dispatch::t5_attention(queries, keys, values, bias.into_dispatch(), recompute)
        }
        AttentionBias::Parts {
            by_distance,
            hidden,
        } => {
            let (by_distance, hidden) = (part(by_distance, &device), part(hidden, &device));
            Dispatch::t5_attention_parts(queries, keys, values, by_distance, hidden, recompute)
        }
    })
}

/// A part of a bias as a backend's operations take it.
fn part(part: Option<Tensor<2>>, device: &Device) -> DispatchTensor {
    match part {
        Some(part) => part.into_dispatch(),
        None => Tensor::<1>::zeros([1], &device.clone().inner()).into_dispatch(),
    }
}

/// How [`attention_of`] is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionOptions {
    /// Width of a head.
    pub(crate) d_kv: usize,
    /// The type of queries, keys and values.
    pub(crate) dtype: FloatDType,
    /// Whether a backward pass computes the probabilities again.
    pub(crate) recompute: bool,
}

/// [`attention`] of what three weights, `[d_model, heads · d_kv]`, make of `x`, queries, and of `source`, keys and values:
/// `[batch, length, d_model]` each, to `[batch, queries, heads · d_kv]`.
pub(crate) fn attention_of(
    x: Tensor<3>,
    source: Tensor<3>,
    weights: [Tensor<2>; 3],
    bias: AttentionBias,
    options: AttentionOptions,
) -> Tensor<3> {
    let (by_distance, hidden) = match bias {
        AttentionBias::Parts {
            by_distance,
            hidden,
        } if !weights.iter().any(is_rounded) => (by_distance, hidden),
        bias => {
            let heads = |x, weight| split(linear(x, weight, options.dtype), options.d_kv);
            let [queries, keys, values] = weights;
            let queries = heads(x, queries);
            let (keys, values) = (heads(source.clone(), keys), heads(source, values));
            return attention(queries, keys, values, bias, options.recompute);
        }
    };
    let device = x.device();
    let [of_queries, of_keys, of_values] = weights.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::t5_projected_attention(
        x.into_dispatch(),
        source.into_dispatch(),
        of_queries,
        of_keys,
        of_values,
        part(by_distance, &device),
        part(hidden, &device),
        options,
    ))
}

/// `[batch, length, heads · d_kv]` to `[batch, heads, length, d_kv]`.
pub(crate) fn split(x: Tensor<3>, d_kv: usize) -> Tensor<4> {
    let [batch, length, width] = x.dims();
    x.reshape([batch, length, width / d_kv, d_kv])
        .swap_dims(1, 2)
}

/// `log Σ exp(logits) - logits[label]` of each row of `logits`, `[rows, vocabulary]`: `[rows]`, and 0 where the
/// label is negative.
pub(crate) fn negative_log_likelihood(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::t5_nll(
        logits.into_dispatch(),
        labels.into_dispatch(),
    ))
}
