//! T5's inner operations, each as one function with a backward pass of its own.
//!
//! A prompt-tuning step spends what is not matrix products on passes over activations: a softmax written with
//! tensor operations reads and writes the scores six times, a gated GELU ten times, and keeps every
//! intermediate for the backward pass. Here each is one pass forward and one backward, and keeps only its inputs
//! (attention also its probabilities). On the CPU they run vectorised ([`flex`]); for other types than f32 as tensor
//! operations ([`portable`]), which are written for any backend but so far only used there: those listed at
//! [`FusedOps`] are all that a model runs on. Either way [`autodiff`] brings the one backward pass.

mod autodiff;
mod few_rows;
mod flex;
mod kernels;
mod matrix;
mod portable;
#[cfg(test)]
mod tests;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Tensor};

/// The operations, on a backend's tensors.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedOps: Backend {
    /// See [`rms_norm`].
    fn t5_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    /// See [`linear`].
    fn t5_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`gated_gelu`].
    fn t5_gated_gelu(gate: FloatTensor<Self>, value: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`attention`].
    fn t5_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
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
    /// Gradient of `x` from that of `x · weight`.
    fn t5_linear_backward(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// Gradients of `gate` and `value` from that of `gelu(gate) · value`.
    fn t5_gated_gelu_backward(
        gate: FloatTensor<Self>,
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// [`attention`] and its probabilities, `[batch, heads, queries, keys]`.
    fn t5_attention_probabilities(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of queries, keys, values and, where wanted, scores.
    fn t5_attention_backward(
        inputs: AttentionInputs<Self>,
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

/// What an attention keeps for its backward pass.
#[derive(Clone, Debug)]
pub(crate) struct AttentionInputs<B: Backend> {
    queries: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    probabilities: FloatTensor<B>,
}

/// Gradients of an attention's inputs, each of its input's shape; that of the scores before any reduction to
/// the shape of the bias.
pub(crate) struct AttentionGradients<B: Backend> {
    queries: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    scores: Option<FloatTensor<B>>,
}

/// `x / sqrt(mean(x²) + ε) · weight` over the last axis of `[batch, length, d_model]`.
///
/// Backward, with `r = 1 / sqrt(mean(x²) + ε)` and the gradient `g` of the result:
/// `dx = r · (g·w - x · r² · mean(g·w·x))` and `dw = Σ g · x · r` over all positions.
pub(crate) fn rms_norm(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::t5_rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        epsilon as f32,
    ))
}

/// `x · weight`: `[batch, length, in]` and `[in, out]` to `[batch, length, out]`.
///
/// Backward, with the gradient `g` of the result: `dx = g · weightᵀ`, and `dweight = xᵀ · g` where the weight is
/// trained, which a prompt's model is not: then `x` is not kept either.
pub(crate) fn linear(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::t5_linear(
        x.into_dispatch(),
        weight.into_dispatch(),
    ))
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

/// `softmax(queries · keysᵀ + bias) · values`: `[batch, heads, length, d_kv]` each, with a bias that broadcasts to
/// `[batch, heads, queries, keys]`, to `[batch, queries, heads · d_kv]`, without copies for the layout of heads.
///
/// Backward, with the probabilities `p` and the gradient `g` of a head's output: `dv = pᵀ g`, `dp = g vᵀ`,
/// `ds = p · (dp - Σ p·dp)` over the keys, `dq = ds k`, `dk = dsᵀ q`, and `ds` is the bias's gradient.
pub(crate) fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    bias: Tensor<4>,
) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::t5_attention(
        queries.into_dispatch(),
        keys.into_dispatch(),
        values.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// `log Σ exp(logits) - logits[label]` of each row of `logits`, `[rows, vocabulary]`: `[rows]`, and 0 where the
/// label is negative.
pub(crate) fn negative_log_likelihood(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::t5_nll(
        logits.into_dispatch(),
        labels.into_dispatch(),
    ))
}
