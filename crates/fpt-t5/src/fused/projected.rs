//! Operations together with the products that their inputs come from. Frozen weights do not need the inputs of products,
//! so that all of it is one step of a backward pass, and what the products give the gradient of what they multiply is
//! added up in one place while it is computed.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{FloatDType, Shape};

use super::autodiff::AttentionState;
use super::{AttentionInputs, AttentionOptions, Bias, FusedBackward, FusedOps};

/// [`super::attention_of`] with any weights: of `x` and source, with the parts of the bias, by distance and hidden.
pub(super) fn attention<B: FusedOps>(
    inputs: [FloatTensor<B>; 2],
    weights: [FloatTensor<B>; 3],
    [by_distance, hidden]: [FloatTensor<B>; 2],
    options: AttentionOptions,
) -> FloatTensor<B> {
    let AttentionInputs {
        queries,
        keys,
        values,
    } = project::<B>(inputs, weights, options);
    B::t5_attention_parts(
        queries,
        keys,
        values,
        by_distance,
        hidden,
        options.recompute,
    )
}

fn project<B: FusedOps>(
    [x, source]: [FloatTensor<B>; 2],
    [queries, keys, values]: [FloatTensor<B>; 3],
    AttentionOptions { d_kv, dtype, .. }: AttentionOptions,
) -> AttentionInputs<B> {
    let heads = |x, weight| {
        let projected = B::t5_linear(x, weight, dtype);
        let [batch, length, width]: [usize; 3] = projected.shape().dims();
        let shape = Shape::new([batch, length, width / d_kv, d_kv]);
        B::float_swap_dims(B::float_reshape(projected, shape), 1, 2)
    };
    AttentionInputs {
        queries: heads(x, queries),
        keys: heads(source.clone(), keys),
        values: heads(source, values),
    }
}

/// What [`ProjectedAttention`] keeps.
#[derive(Clone, Debug)]
pub(super) struct AttentionOfState<B: Backend> {
    attention: AttentionState<B>,
    weights: [FloatTensor<B>; 3],
    /// That of the gradients of what was projected.
    dtype: FloatDType,
}

impl<B: FusedBackward> AttentionOfState<B> {
    /// [`attention`], and what to keep of it.
    pub(super) fn new(
        inputs: [FloatTensor<B>; 2],
        weights: [FloatTensor<B>; 3],
        [by_distance, hidden]: [FloatTensor<B>; 2],
        options: AttentionOptions,
    ) -> (FloatTensor<B>, Self) {
        let dtype = inputs[0].dtype().into();
        let inputs = project::<B>(inputs, weights.clone(), options);
        let bias = Bias::Parts {
            by_distance,
            hidden,
        };
        let (out, attention) = AttentionState::new(inputs, bias, options.recompute);
        let state = Self {
            attention,
            weights,
            dtype,
        };
        (out, state)
    }
}

/// Of `x` and source, which may be the same.
#[derive(Debug)]
pub(super) struct ProjectedAttention;

impl<B: FusedBackward> Backward<B, 2> for ProjectedAttention {
    type State = AttentionOfState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [of_x, of_source] = ops.parents.map(|node| node.map(|node| node.id));
        let AttentionOfState {
            attention,
            weights: [queries, keys, values],
            dtype,
        } = ops.state;
        let got = attention.backward(gradient, false);
        let mut d_source = None;
        if let Some(node) = of_x {
            let d_x = add_back::<B>(None, queries, got.queries, dtype);
            if of_source == of_x {
                d_source = Some(d_x);
            } else {
                gradients.register::<B>(node, d_x);
            }
        }
        if let Some(node) = of_source {
            let d_source = add_back::<B>(d_source, keys, got.keys, dtype);
            let d_source = add_back::<B>(Some(d_source), values, got.values, dtype);
            gradients.register::<B>(node, d_source);
        }
    }
}

/// Adds to `before` the gradient of what `weight` projects, from that of its heads.
fn add_back<B: FusedBackward>(
    before: Option<FloatTensor<B>>,
    weight: FloatTensor<B>,
    of_heads: FloatTensor<B>,
    dtype: FloatDType,
) -> FloatTensor<B> {
    let [batch, heads, length, d_kv]: [usize; 4] = of_heads.shape().dims();
    let shape = Shape::new([batch, length, heads * d_kv]);
    let gradient = B::float_reshape(B::float_swap_dims(of_heads, 1, 2), shape);
    match before {
        Some(before) => B::t5_linear_backward_onto(weight, gradient, before, dtype),
        None => B::t5_linear_backward(weight, gradient, dtype),
    }
}

/// [`super::gated_gelu_of`] with any weights, of gate and value.
pub(super) fn gated_gelu<B: FusedOps>(
    x: FloatTensor<B>,
    [of_gate, of_value]: [FloatTensor<B>; 2],
    dtype: FloatDType,
) -> FloatTensor<B> {
    let gate = B::t5_linear(x.clone(), of_gate, dtype);
    B::t5_gated_gelu(gate, B::t5_linear(x, of_value, dtype))
}

/// What [`ProjectedGelu`] keeps.
#[derive(Clone, Debug)]
pub(super) struct GeluState<B: Backend> {
    gate: FloatTensor<B>,
    value: FloatTensor<B>,
    weights: [FloatTensor<B>; 2],
    /// That of the gradient of what was projected.
    dtype: FloatDType,
}

impl<B: FusedBackward> GeluState<B> {
    /// [`gated_gelu`], and what to keep of it.
    pub(super) fn new(
        x: FloatTensor<B>,
        weights: [FloatTensor<B>; 2],
        dtype: FloatDType,
    ) -> (FloatTensor<B>, Self) {
        let of_x = x.dtype().into();
        let [of_gate, of_value] = weights.clone();
        let gate = B::t5_linear(x.clone(), of_gate, dtype);
        let value = B::t5_linear(x, of_value, dtype);
        let out = B::t5_gated_gelu(gate.clone(), value.clone());
        let state = Self {
            gate,
            value,
            weights,
            dtype: of_x,
        };
        (out, state)
    }
}

/// Of what gate and value are made of.
#[derive(Debug)]
pub(super) struct ProjectedGelu;

impl<B: FusedBackward> Backward<B, 1> for ProjectedGelu {
    type State = GeluState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let GeluState {
            gate,
            value,
            weights: [of_gate, of_value],
            dtype,
        } = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            let (d_gate, d_value) = B::t5_gated_gelu_backward(gate, value, gradient);
            let d_x = B::t5_linear_backward(of_gate, d_gate, dtype);
            B::t5_linear_backward_onto(of_value, d_value, d_x, dtype)
        });
    }
}
