use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};

use crate::{AttentionKind, StackKind, T5Config, Taps, feed_forward::linear};

/// Keys and values of one attention, `[batch, heads, length, d_kv]` each.
#[derive(Clone, Debug)]
pub struct KeysValues {
    /// Keys.
    pub keys: Tensor<4>,
    /// Values.
    pub values: Tensor<4>,
}

impl KeysValues {
    /// These, followed by `next` along the length.
    pub fn append(self, next: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, next.keys], 2),
            values: Tensor::cat(vec![self.values, next.values], 2),
        }
    }

    /// Number of positions.
    pub fn length(&self) -> usize {
        self.keys.dims()[2]
    }
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
            d_kv,
        }
    }

    /// Keys and values of `source`, `[batch, length, d_model]`.
    pub fn keys_values(&self, source: Tensor<3>) -> KeysValues {
        KeysValues {
            keys: self.split(self.k.forward(source.clone())),
            values: self.split(self.v.forward(source)),
        }
    }

    /// Attention of `x`, `[batch, queries, d_model]`, to `source` under an additive `mask` that broadcasts
    /// to `[batch, heads, queries, keys]`. Returns `[batch, queries, d_model]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        source: KeysValues,
        mask: Option<Tensor<4>>,
        place: (StackKind, usize, AttentionKind),
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let [batch, queries, _] = x.dims();
        let query = self.split(self.q.forward(x));
        let scores = query.matmul(source.keys.swap_dims(2, 3));
        let scores = match mask {
            Some(mask) => scores + mask,
            None => scores,
        };
        let heads = activation::softmax(scores, 3).matmul(source.values);
        let (stack, layer, kind) = place;
        taps.heads(stack, layer, kind, &heads);
        let [_, count, _, d_kv] = heads.dims();
        self.o.forward(
            heads
                .swap_dims(1, 2)
                .reshape([batch, queries, count * d_kv]),
        )
    }

    /// `[batch, length, heads · d_kv]` to `[batch, heads, length, d_kv]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, inner] = x.dims();
        x.reshape([batch, length, inner / self.d_kv, self.d_kv])
            .swap_dims(1, 2)
    }
}
