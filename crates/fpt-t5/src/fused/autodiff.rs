//! The backward pass of each operation, for every backend.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata};
use burn::tensor::Shape;

use super::{AttentionInputs, FusedBackward, FusedOps, portable};

impl<B: FusedBackward, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn t5_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        match RmsNorm
            .prepare::<C>([x.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(node) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let out = B::t5_rms_norm(x.clone(), weight.clone(), epsilon);
                node.finish((x, weight, epsilon), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_rms_norm(
                x.into_primitive(),
                weight.into_primitive(),
                epsilon,
            )),
        }
    }

    fn t5_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let trained = weight.is_tracked();
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let out = B::t5_linear(x.clone(), weight.clone());
                let x = trained.then_some(x);
                node.finish((x, weight), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_linear(x, weight)),
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
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys.node(), values.node(), bias.node()];
        let prepared = Attention.prepare::<C>(nodes).compute_bound().stateful();
        let (queries, keys) = (queries.into_primitive(), keys.into_primitive());
        let (values, bias) = (values.into_primitive(), bias.into_primitive());
        match prepared {
            OpsKind::Tracked(node) => {
                let bias_shape = bias.shape();
                let (out, probabilities) = B::t5_attention_probabilities(
                    queries.clone(),
                    keys.clone(),
                    values.clone(),
                    bias,
                );
                let inputs = AttentionInputs {
                    queries,
                    keys,
                    values,
                    probabilities,
                };
                node.finish((inputs, bias_shape), out)
            }
            OpsKind::UnTracked(node) => node.finish(B::t5_attention(queries, keys, values, bias)),
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

#[derive(Debug)]
struct Linear;

impl<B: FusedBackward> Backward<B, 2> for Linear {
    type State = (Option<FloatTensor<B>>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, weight) = ops.state;
        let [of_x, of_weight] = ops.parents;
        if let (Some(node), Some(x)) = (of_weight, x) {
            let x = B::float_transpose(portable::rows::<B>(x));
            let d_weight = B::float_matmul(x, portable::rows::<B>(gradient.clone()));
            gradients.register::<B>(node.id, d_weight);
        }
        if let Some(node) = of_x {
            gradients.register::<B>(node.id, B::t5_linear_backward(weight, gradient));
        }
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

#[derive(Debug)]
struct Attention;

impl<B: FusedBackward> Backward<B, 4> for Attention {
    type State = (AttentionInputs<B>, Shape);

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (inputs, bias_shape) = ops.state;
        let [queries, keys, values, bias] = ops.parents;
        let got = B::t5_attention_backward(inputs, gradient, bias.is_some());
        let scores = got.scores.map(|scores| sum_to::<B>(scores, bias_shape));
        let of_inputs = [
            (queries, Some(got.queries)),
            (keys, Some(got.keys)),
            (values, Some(got.values)),
            (bias, scores),
        ];
        for (node, gradient) in of_inputs {
            if let (Some(node), Some(gradient)) = (node, gradient) {
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
