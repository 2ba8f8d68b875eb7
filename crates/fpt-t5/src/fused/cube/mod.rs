//! The operations on CubeCL's runtimes: CUDA and WGPU.
//!
//! Attention is two products with a kernel between them that adds the bias of position and padding from its parts,
//! so that no bias is ever as large as the scores; these are there for the time of a layer only.

mod kernels;
mod launch;
mod product;

use burn::backend::ops::{ActivationOps, FloatTensorOps, QTensorOps};
use burn::backend::tensor::{FloatTensor, QuantizedTensor};
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::quantization::QuantScheme;
use burn::tensor::{DType, FloatDType, Shape};
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;

use super::{
    AttentionGradients, AttentionInputs, Bias, FusedBackward, FusedOps, Probabilities, portable,
};
use product::product;

impl FusedOps for Cube {
    fn t5_rms_norm(
        x: CubeTensor,
        weight: CubeTensor,
        epsilon: f32,
        dtype: FloatDType,
    ) -> CubeTensor {
        launch::rms_norm(x, weight, epsilon, dtype.into())
    }

    fn t5_linear(x: CubeTensor, weight: CubeTensor, dtype: FloatDType) -> CubeTensor {
        let [batch, length, _]: [usize; 3] = x.shape().dims();
        let [_, out]: [usize; 2] = weight.shape().dims();
        let rows = portable::rows::<Self>(x);
        let product = product(rows, weight, dtype.into());
        Self::float_reshape(product, Shape::new([batch, length, out]))
    }

    fn t5_linear_onto(x: CubeTensor, weight: CubeTensor, residual: CubeTensor) -> CubeTensor {
        portable::linear_onto::<Self>(x, weight, residual)
    }

    fn t5_rounded(weight: CubeTensor) -> QuantizedTensor<Self> {
        Self::quantize_dynamic(weight, &QuantScheme::default())
    }

    fn t5_linear_rounded(
        x: CubeTensor,
        weight: QuantizedTensor<Self>,
        dtype: FloatDType,
    ) -> CubeTensor {
        portable::linear_rounded::<Self>(x, weight, dtype)
    }

    fn t5_gated_gelu(gate: CubeTensor, value: CubeTensor) -> CubeTensor {
        launch::gated_gelu(gate, value)
    }

    fn t5_attention(
        queries: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        bias: CubeTensor,
        _recompute: bool,
    ) -> CubeTensor {
        let inputs = AttentionInputs {
            queries,
            keys,
            values,
        };
        Self::t5_attention_kept(inputs, Bias::Whole(bias), true).0
    }

    fn t5_attention_parts(
        queries: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        by_distance: CubeTensor,
        hidden: CubeTensor,
        _recompute: bool,
    ) -> CubeTensor {
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

    fn t5_nll(logits: CubeTensor, labels: CubeTensor) -> CubeTensor {
        launch::nll(logits, labels).0
    }
}

impl FusedBackward for Cube {
    fn t5_rms_norm_backward(
        x: CubeTensor,
        weight: CubeTensor,
        gradient: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        launch::rms_norm_backward(x, weight, gradient, epsilon)
    }

    fn t5_linear_backward(
        weight: CubeTensor,
        gradient: CubeTensor,
        dtype: FloatDType,
    ) -> CubeTensor {
        Self::t5_linear(gradient, Self::float_transpose(weight), dtype)
    }

    fn t5_weight_backward(x: CubeTensor, gradient: CubeTensor) -> CubeTensor {
        portable::weight_backward::<Self>(x, gradient)
    }

    fn t5_linear_rounded_backward(
        weight: QuantizedTensor<Self>,
        gradient: CubeTensor,
        dtype: FloatDType,
    ) -> CubeTensor {
        portable::linear_rounded_backward::<Self>(weight, gradient, dtype)
    }

    fn t5_gated_gelu_backward(
        gate: CubeTensor,
        value: CubeTensor,
        gradient: CubeTensor,
    ) -> (CubeTensor, CubeTensor) {
        launch::gated_gelu_backward(gate, value, gradient)
    }

    fn t5_attention_kept(
        inputs: AttentionInputs<Self>,
        bias: Bias<Self>,
        recompute: bool,
    ) -> (CubeTensor, Probabilities<Self>) {
        let [batch, heads, length, d_kv]: [usize; 4] = inputs.queries.shape().dims();
        let dtype = inputs.values.dtype;
        let p = probabilities(inputs.queries, inputs.keys, bias.clone());
        let kept = Probabilities::of(recompute, &p, bias);
        let out = Self::float_swap_dims(product(p, inputs.values, dtype), 1, 2);
        let out = Self::float_reshape(out, Shape::new([batch, length, heads * d_kv]));
        (out, kept)
    }

    fn t5_attention_backward(
        inputs: AttentionInputs<Self>,
        probabilities: Probabilities<Self>,
        gradient: CubeTensor,
        want_scores: bool,
    ) -> AttentionGradients<Self> {
        let p = match probabilities {
            Probabilities::Kept(kept) => kept,
            Probabilities::Of(bias) => {
                self::probabilities(inputs.queries.clone(), inputs.keys.clone(), bias)
            }
        };
        let [batch, heads, length, d_kv]: [usize; 4] = inputs.queries.shape().dims();
        let gradient = Self::float_reshape(gradient, Shape::new([batch, length, heads, d_kv]));
        let gradient = Self::float_swap_dims(gradient, 1, 2);
        let dtype = inputs.queries.dtype;
        let transposed = |x: FloatTensor<Self>| Self::float_swap_dims(x, 2, 3);
        let values = product(transposed(p.clone()), gradient.clone(), dtype);
        let d_p = product(gradient, transposed(inputs.values), DType::F32);
        let scores = launch::softmax_backward(p, d_p);
        AttentionGradients {
            queries: product(scores.clone(), inputs.keys, dtype),
            keys: product(transposed(scores.clone()), inputs.queries, dtype),
            values,
            scores: want_scores.then_some(scores),
        }
    }

    fn t5_nll_sums(logits: CubeTensor, labels: CubeTensor) -> (CubeTensor, CubeTensor) {
        launch::nll(logits, labels)
    }

    fn t5_nll_backward(
        logits: CubeTensor,
        labels: CubeTensor,
        sums: CubeTensor,
        gradient: CubeTensor,
    ) -> CubeTensor {
        launch::nll_backward(logits, labels, sums, gradient)
    }
}

/// The probabilities of an attention, `[batch, heads, queries, keys]`, in the numbers of its operands.
fn probabilities(queries: CubeTensor, keys: CubeTensor, bias: Bias<Cube>) -> CubeTensor {
    let dtype = queries.dtype;
    let scores = product(queries, Cube::float_swap_dims(keys, 2, 3), DType::F32);
    match bias {
        Bias::Whole(bias) => {
            let p = Cube::softmax(Cube::float_add(scores, bias), 3);
            if p.dtype == dtype { p } else { cast(p, dtype) }
        }
        Bias::Parts {
            by_distance,
            hidden,
        } => launch::biased_softmax(scores, by_distance, hidden, dtype),
    }
}
