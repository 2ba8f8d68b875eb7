//! What a backward pass computes again instead of keeping it.

use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::position::SelfBias;
use crate::{EncoderOutput, LmBatch, Loss, MacCounter, NoTaps, T5, fused, prepend};

/// What a backward pass computes again instead of keeping it: memory for time. The results are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Recompute {
    /// Nothing.
    #[default]
    None,
    /// The probabilities of all attentions, whose memory grows with the square of the length. On a processor they are there
    /// for some rows of a head at a time.
    Attention,
    /// The layers of the encoder, one after the other: kept is the input of each. The decoder, whose targets are short,
    /// keeps its own.
    Layers,
}

impl T5 {
    /// This model, whose backward passes compute `recompute` again. What is made of it, such as a partial model, does so
    /// too.
    pub fn recomputing(mut self, recompute: Recompute) -> Self {
        let attentions = recompute == Recompute::Attention;
        // What a layer has at a time is most of what is left then, and a processor computes rows of it as fast again.
        let of_layer = recompute == Recompute::Layers && !fused::is_gpu(&self.device());
        for block in &mut self.encoder.block {
            block.attention.recompute = attentions || of_layer;
        }
        for block in &mut self.decoder.block {
            block.attention.recompute = attentions;
            block.cross_attention.recompute = attentions;
        }
        self.recompute = recompute;
        self
    }

    /// What backward passes compute again.
    pub fn recompute(&self) -> Recompute {
        self.recompute
    }

    /// [`Lm::loss_and_gradient`](crate::Lm::loss_and_gradient), an encoder layer at a time.
    ///
    /// The encoder runs forward without a graph and keeps the input of each layer. From the gradient of its output, each
    /// layer, from the last to the first, is computed once more, with a graph that goes when the layer's own gradient is
    /// there. `counter` hears of the first time only.
    pub(crate) fn layer_by_layer(
        &self,
        prefix: &Tensor<2>,
        batch: &LmBatch,
        over: f64,
        counter: &mut MacCounter,
    ) -> (Tensor<1>, Tensor<2>) {
        let [length, d_model] = prefix.dims();
        let embeddings = self.embed(batch.source.clone());
        let before = Some(prefix.clone().inner());
        let (mut x, mask) = prepend(before, embeddings, batch.mask.clone());
        let (encoder, bias) = (
            &self.encoder,
            SelfBias::encoder(&self.encoder.position_bias, mask.clone()),
        );
        let mut inputs = Vec::with_capacity(encoder.block.len());
        for (layer, block) in encoder.block.iter().enumerate() {
            inputs.push(x.clone());
            x = block.forward(x, &bias, layer, counter);
        }
        let norm = |x| encoder.final_norm.forward(x, FloatDType::F32);

        let hidden = norm(x.clone()).autodiff().require_grad();
        let encoded = EncoderOutput {
            hidden: hidden.clone(),
            mask,
        };
        let start = self.shift_right(batch.labels.clone());
        let logits = self.decode_tapped(start, &encoded, None, counter);
        let loss = Loss::new(logits, batch.labels.clone()).sum / over;
        let mut gradient = gradient(hidden, &loss);

        gradient = back(x, gradient, norm);
        for (layer, (block, x)) in encoder.block.iter().zip(inputs).enumerate().rev() {
            gradient = back(x, gradient, |x| block.forward(x, &bias, layer, &mut NoTaps));
        }
        let [rows, _, _] = gradient.dims();
        let of_prefix = gradient.slice([0..rows, 0..length]).sum_dim(0);
        (loss.inner(), of_prefix.reshape([length, d_model]))
    }
}

/// The gradient of `x` from that of `forward(x)`.
fn back(
    x: Tensor<3>,
    of_result: Tensor<3>,
    forward: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let x = x.autodiff().require_grad();
    let result = (forward(x.clone()) * of_result.autodiff()).sum();
    gradient(x, &result)
}

/// The gradient of a leaf from what was computed with it.
fn gradient(leaf: Tensor<3>, result: &Tensor<1>) -> Tensor<3> {
    let mut gradients = result.backward();
    let gradient = leaf.grad_remove(&mut gradients);
    gradient.unwrap_or_else(|| leaf.inner().zeros_like())
}
