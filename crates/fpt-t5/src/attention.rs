//! Multi-head attention, of a stack to itself and of the decoder to the encoder.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, FloatDType, Int, Tensor};

use crate::feed_forward::linear;
use crate::fused::AttentionOptions;
use crate::taps::{count, project, project_onto};
use crate::{AttentionBias, AttentionKind, StackKind, T5Config, Taps, fused};

/// Keys and values of one attention, `[batch, heads, length, d_kv]` each.
#[derive(Clone, Debug)]
pub struct KeysValues {
    /// Keys.
    pub keys: Tensor<4>,
    /// Values.
    pub values: Tensor<4>,
}

impl KeysValues {
    /// Those of these rows of the batch.
    pub fn select(self, rows: &[usize]) -> Self {
        let rows = index(rows, &self.keys.device());
        Self {
            keys: self.keys.select(0, rows.clone()),
            values: self.values.select(0, rows),
        }
    }

    /// The same, with all positions of a head together where they lie as they are projected: few queries at a time then
    /// read them from one end to the other, which processors foresee.
    pub(crate) fn by_heads(self) -> Self {
        let [batch, heads, length, d_kv] = self.keys.dims();
        let mut order = Vec::with_capacity(batch * heads * length);
        for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            order.extend((0..length).map(|position| (row * length + position) * heads + head));
        }
        let order = index(&order, &self.keys.device());
        // Whole rows are copied, where for a view numbers would be one by one.
        let together = |x: Tensor<4>| {
            let rows = x.swap_dims(1, 2).reshape([batch * length * heads, d_kv]);
            let rows = rows.select(0, order.clone());
            rows.reshape([batch, heads, length, d_kv])
        };
        Self {
            keys: together(self.keys),
            values: together(self.values),
        }
    }

    /// Number of positions.
    pub fn length(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// A list of rows, neurons or heads as a tensor, `[list length]`, to select by.
pub fn index(list: &[usize], device: &Device) -> Tensor<1, Int> {
    let list: Vec<i32> = list.iter().map(|&i| i as i32).collect();
    Tensor::from_data(list.as_slice(), device)
}

/// T5's attention (`T5Attention` in transformers): no scaling of the scores, no biases, and an additive
/// mask that carries the relative-position bias.
///
/// The number of heads follows from the matrices, so an attention with some heads left out is the same
/// type.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d_model, heads · d_kv]`.
    pub q: Linear,
    /// `[d_model, heads · d_kv]`.
    pub k: Linear,
    /// `[d_model, heads · d_kv]`.
    pub v: Linear,
    /// `[heads · d_kv, d_model]`.
    pub o: Linear,
    /// Which heads of the stack's position bias are this layer's, where some are left out; `None` means all.
    #[module(skip)]
    pub kept_heads: Option<Vec<usize>>,
    /// Whether a backward pass computes the probabilities again instead of keeping them.
    #[module(skip)]
    pub(crate) recompute: bool,
    d_kv: usize,
}

impl Attention {
    /// Random weights with the standard deviations of transformers' `T5PreTrainedModel._init_weights`.
    pub fn init(config: &T5Config, device: &Device) -> Self {
        let (d_model, d_kv, inner) = (config.d_model, config.d_kv, config.inner_dim());
        let model_std = (d_model as f64).powf(-0.5);
        Self {
            // The missing 1/sqrt(d_kv) of the scores is folded into the queries' initialisation.
            q: linear(d_model, inner, ((d_model * d_kv) as f64).powf(-0.5), device),
            k: linear(d_model, inner, model_std, device),
            v: linear(d_model, inner, model_std, device),
            o: linear(inner, d_model, (inner as f64).powf(-0.5), device),
            kept_heads: None,
            recompute: false,
            d_kv,
        }
    }

    /// Width of a head.
    pub fn d_kv(&self) -> usize {
        self.d_kv
    }

    /// The type of numbers that products take: inputs, keys and values.
    pub fn operand_dtype(&self) -> FloatDType {
        fused::operand_dtype(&self.q.weight.val())
    }

    /// Keys and values of `source`, `[batch, length, d_model]`.
    pub(crate) fn keys_values(&self, source: Tensor<3>, taps: &mut dyn Taps) -> KeysValues {
        let dtype = self.operand_dtype();
        KeysValues {
            keys: self.split(project(&self.k, source.clone(), dtype, taps)),
            values: self.split(project(&self.v, source, dtype, taps)),
        }
    }

    /// `residual` and the attention of `x` to `source`, whose scores get `bias`. `residual`, `x` and what it returns are
    /// `[batch, queries, d_model]`; `x` is in [`operand_dtype`](Self::operand_dtype), the others in f32.
    pub fn forward(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        source: KeysValues,
        bias: AttentionBias,
        place: (StackKind, usize, AttentionKind),
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let query = self.split(project(&self.q, x, self.operand_dtype(), taps));
        let keys = source.length();
        let joined = fused::attention(query, source.keys, source.values, bias, self.recompute);
        self.project_heads(residual, joined, keys, place, taps)
    }

    /// [`forward`](Self::forward) to keys and values that are made of `source`, `[batch, keys, d_model]`, for this alone.
    pub(crate) fn forward_to(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        source: Tensor<3>,
        bias: AttentionBias,
        place: (StackKind, usize, AttentionKind),
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let weights = [&self.q, &self.k, &self.v].map(|linear| linear.weight.val());
        for (x, weight) in [&x, &source, &source].into_iter().zip(&weights) {
            count(x, weight, taps);
        }
        let options = AttentionOptions {
            d_kv: self.d_kv,
            dtype: self.operand_dtype(),
            recompute: self.recompute,
        };
        let [_, keys, _] = source.dims();
        let joined = fused::attention_of(x, source, weights, bias, options);
        self.project_heads(residual, joined, keys, place, taps)
    }

    /// `residual` and what `o` makes of the outputs of the heads, `[batch, queries, heads · d_kv]`.
    fn project_heads(
        &self,
        residual: Tensor<3>,
        joined: Tensor<3>,
        keys: usize,
        (stack, layer, kind): (StackKind, usize, AttentionKind),
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let [batch, queries, width] = joined.dims();
        // Queries by keys, and probabilities by values.
        taps.multiplied(2 * (batch * queries * keys * width) as u64);
        let outputs = joined.reshape([batch, queries, width / self.d_kv, self.d_kv]);
        let outputs = taps.heads(stack, layer, kind, outputs);
        let joined = outputs.reshape([batch, queries, width]);
        project_onto(residual, &self.o, joined, taps)
    }

    /// `[batch, length, heads · d_kv]` to `[batch, heads, length, d_kv]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        fused::split(x, self.d_kv)
    }
}
