//! The backward pass of each operation, for every backend.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor, QuantizedTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata};
use burn::tensor::{FloatDType, Shape};

use super::projected::{self, AttentionOfState, GeluState, ProjectedAttention, ProjectedGelu};
use super::{
    AttentionGradients, AttentionInputs, AttentionOptions, Bias, FusedBackward, FusedOps,
    Probabilities, portable,
};

impl<B: FusedBackward, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn t5_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        match RmsNorm
            .prepare::<C>([x.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(node) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let out = B::t5_rms_norm(x.clone(), weight.clone(), epsilon, dtype);
                node.finish((x, weight, epsilon), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_rms_norm(
                x.into_primitive(),
                weight.into_primitive(),
                epsilon,
                dtype,
            )),
        }
    }

    fn t5_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let trained = weight.is_tracked();
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let of_x = x.dtype().into();
                let out = B::t5_linear(x.clone(), weight.clone(), dtype);
                let x = trained.then_some(x);
                node.finish((x, weight, of_x), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_linear(x, weight, dtype)),
        }
    }

    fn t5_linear_onto(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), residual.node()];
        let trained = weight.is_tracked();
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let residual = residual.into_primitive();
        match LinearOnto.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let of_x = x.dtype().into();
                let out = B::t5_linear_onto(x.clone(), weight.clone(), residual);
                let x = trained.then_some(x);
                node.finish((x, weight, of_x), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_linear_onto(x, weight, residual)),
        }
    }

    fn t5_rounded(weight: FloatTensor<Self>) -> QuantizedTensor<Self> {
        B::t5_rounded(weight.into_primitive())
    }

    fn t5_linear_rounded(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        let prepared = LinearRounded
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful();
        let x = x.into_primitive();
        match prepared {
            OpsKind::Tracked(node) => {
                let of_x = x.dtype().into();
                let out = B::t5_linear_rounded(x, weight.clone(), dtype);
                node.finish((weight, of_x), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_linear_rounded(x, weight, dtype)),
        }
    }

    fn t5_gated_gelu(gate: FloatTensor<Self>, value: FloatTensor<Self>) -> FloatTensor<Self> {
        match GatedGelu
            .prepare::<C>([gate.node(), value.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(node) => {
                let (gate, value) = (gate.into_primitive(), value.into_primitive());
                let out = B::t5_gated_gelu(gate.clone(), value.clone());
                node.finish((gate, value), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_gated_gelu(
                gate.into_primitive(),
                value.into_primitive(),
            )),
        }
    }

    fn t5_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        recompute: bool,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys.node(), values.node(), bias.node()];
        let prepared = Attention.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = AttentionInputs {
            queries: queries.into_primitive(),
            keys: keys.into_primitive(),
            values: values.into_primitive(),
        };
        let bias = bias.into_primitive();
        match prepared {
            OpsKind::Tracked(node) => {
                let bias_shape = bias.shape();
                let (out, state) = AttentionState::new(inputs, Bias::Whole(bias), recompute);
                node.finish((state, bias_shape), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_attention(
                inputs.queries,
                inputs.keys,
                inputs.values,
                bias,
                recompute,
            )),
        }
    }

    fn t5_attention_parts(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        by_distance: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        recompute: bool,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys.node(), values.node()];
        let prepared = AttentionParts
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful();
        let inputs = AttentionInputs {
            queries: queries.into_primitive(),
            keys: keys.into_primitive(),
            values: values.into_primitive(),
        };
        let (by_distance, hidden) = (by_distance.into_primitive(), hidden.into_primitive());
        match prepared {
            OpsKind::Tracked(node) => {
                let bias = Bias::Parts {
                    by_distance,
                    hidden,
                };
                let (out, state) = AttentionState::new(inputs, bias, recompute);
                node.finish(state, out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_attention_parts(
                inputs.queries,
                inputs.keys,
                inputs.values,
                by_distance,
                hidden,
                recompute,
            )),
        }
    }

    fn t5_projected_gelu(
        x: FloatTensor<Self>,
        of_gate: FloatTensor<Self>,
        of_value: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        let weights = [of_gate, of_value];
        if weights.iter().any(|weight| weight.is_tracked()) {
            return projected::gated_gelu::<Self>(x, weights, dtype);
        }
        let prepared = ProjectedGelu
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful();
        let (x, weights) = (
            x.into_primitive(),
            weights.map(|weight| weight.into_primitive()),
        );
        match prepared {
            OpsKind::Tracked(node) => {
                let (out, state) = GeluState::new(x, weights, dtype);
                node.finish(state, out)
            }
            OpsKind::UnTracked(node) => node.finish(projected::gated_gelu::<B>(x, weights, dtype)),
        }
    }

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
        let (inputs, bias) = ([x, source], [by_distance, hidden]);
        let weights = [of_queries, of_keys, of_values];
        if weights.iter().any(|weight| weight.is_tracked()) {
            return projected::attention::<Self>(inputs, weights, bias, options);
        }
        let prepared = ProjectedAttention
            .prepare::<C>(inputs.each_ref().map(|x| x.node()))
            .compute_bound()
            .stateful();
        let inputs = inputs.map(|x| x.into_primitive());
        let weights = weights.map(|weight| weight.into_primitive());
        let bias = bias.map(|part| part.into_primitive());
        match prepared {
            OpsKind::Tracked(node) => {
                let (out, state) = AttentionOfState::new(inputs, weights, bias, options);
                node.finish(state, out)
            }
            OpsKind::UnTracked(node) => {
                node.finish(projected::attention::<B>(inputs, weights, bias, options))
            }
        }
    }

    fn t5_nll(logits: FloatTensor<Self>, labels: IntTensor<Self>) -> FloatTensor<Self> {
        match Nll.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let logits = logits.into_primitive();
                let (nll, sums) = B::t5_nll_sums(logits.clone(), labels.clone());
                node.finish((logits, labels, sums), nll)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_nll(logits.into_primitive(), labels)),
        }
    }
}

#[derive(Debug)]
struct RmsNorm;

impl<B: FusedBackward> Backward<B, 2> for RmsNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f32);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, weight, epsilon) = ops.state;
        let [of_x, of_weight] = ops.parents;
        if let Some(node) = of_weight {
            let normed = B::float_mul(x.clone(), portable::reciprocal_rms::<B>(x.clone(), epsilon));
            let d_weight = B::float_mul(gradient.clone(), normed);
            gradients.register::<B>(node.id, sum_to::<B>(d_weight, weight.shape()));
        }
        if let Some(node) = of_x {
            let d_x = B::t5_rms_norm_backward(x, weight, gradient, epsilon);
            gradients.register::<B>(node.id, d_x);
        }
    }
}

/// `x`, where the weight is trained, the weight, and the type of the gradient of `x`.
type OfLinear<B> = (Option<FloatTensor<B>>, FloatTensor<B>, FloatDType);

/// The gradients of what [`super::linear`] multiplies, for those who want them.
fn linear_backward<B: FusedBackward>(
    (x, weight, dtype): OfLinear<B>,
    [of_x, of_weight]: [Option<NodeId>; 2],
    gradient: FloatTensor<B>,
    gradients: &mut Gradients,
) {
    if let (Some(node), Some(x)) = (of_weight, x) {
        let d_weight = B::t5_weight_backward(x, gradient.clone());
        gradients.register::<B>(node, d_weight);
    }
    if let Some(node) = of_x {
        let d_x = B::t5_linear_backward(weight, gradient, dtype);
        gradients.register::<B>(node, d_x);
    }
}

#[derive(Debug)]
struct Linear;

impl<B: FusedBackward> Backward<B, 2> for Linear {
    type State = OfLinear<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        linear_backward::<B>(ops.state, parents, gradient, gradients);
    }
}

#[derive(Debug)]
struct LinearOnto;

impl<B: FusedBackward> Backward<B, 3> for LinearOnto {
    type State = OfLinear<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [of_x, of_weight, of_residual] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(node) = of_residual {
            gradients.register::<B>(node, gradient.clone());
        }
        linear_backward::<B>(ops.state, [of_x, of_weight], gradient, gradients);
    }
}

#[derive(Debug)]
struct LinearRounded;

impl<B: FusedBackward> Backward<B, 1> for LinearRounded {
    type State = (QuantizedTensor<B>, FloatDType);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (weight, dtype) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::t5_linear_rounded_backward(weight, gradient, dtype)
        });
    }
}

#[derive(Debug)]
struct GatedGelu;

impl<B: FusedBackward> Backward<B, 2> for GatedGelu {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (gate, value) = ops.state;
        let (d_gate, d_value) = B::t5_gated_gelu_backward(gate, value, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([d_gate, d_value]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

/// What an attention keeps for its backward pass.
#[derive(Clone, Debug)]
pub(super) struct AttentionState<B: Backend> {
    inputs: AttentionInputs<B>,
    probabilities: Probabilities<B>,
}

impl<B: FusedBackward> AttentionState<B> {
    /// The attention, and what to keep of it.
    pub(super) fn new(
        inputs: AttentionInputs<B>,
        bias: Bias<B>,
        recompute: bool,
    ) -> (FloatTensor<B>, Self) {
        let (out, probabilities) = B::t5_attention_kept(inputs.clone(), bias, recompute);
        let state = Self {
            inputs,
            probabilities,
        };
        (out, state)
    }

    pub(super) fn backward(
        self,
        gradient: FloatTensor<B>,
        want_scores: bool,
    ) -> AttentionGradients<B> {
        B::t5_attention_backward(self.inputs, self.probabilities, gradient, want_scores)
    }
}

#[derive(Debug)]
struct Attention;

impl<B: FusedBackward> Backward<B, 4> for Attention {
    type State = (AttentionState<B>, Shape);

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (state, bias_shape) = ops.state;
        let [_, _, _, bias] = &ops.parents;
        let got = state.backward(gradient, bias.is_some());
        let scores = got.scores.map(|scores| sum_to::<B>(scores, bias_shape));
        let of_inputs = [Some(got.queries), Some(got.keys), Some(got.values), scores];
        for (node, gradient) in ops.parents.into_iter().zip(of_inputs) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct AttentionParts;

impl<B: FusedBackward> Backward<B, 3> for AttentionParts {
    type State = AttentionState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let got = ops.state.backward(gradient, false);
        let of_inputs = [got.queries, got.keys, got.values];
        for (node, gradient) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Nll;

impl<B: FusedBackward> Backward<B, 1> for Nll {
    type State = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (logits, labels, sums) = ops.state;
        if let [Some(node)] = ops.parents {
            let d_logits = B::t5_nll_backward(logits, labels, sums, gradient);
            gradients.register::<B>(node.id, d_logits);
        }
    }
}

/// The sum of `x` over what was broadcast from `shape`.
fn sum_to<B: Backend>(mut x: FloatTensor<B>, shape: Shape) -> FloatTensor<B> {
    let dims = x.shape().num_dims();
    let missing = dims - shape.num_dims();
    for dim in 0..dims {
        if dim < missing || (shape[dim - missing] == 1 && x.shape()[dim] > 1) {
            x = B::float_sum_dim(x, dim);
        }
    }
    B::float_reshape(x, shape)
}
