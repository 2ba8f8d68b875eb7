//! What training, scoring and evaluation ask of a language model: a teacher-forced loss, and answers.

use burn::tensor::{Device, Int, Tensor};

use crate::{Generation, Loss, MacCounter, Recompute, T5, Taps, fused, prepend_visible, rank};

/// Token ids of some examples, on the device of the model.
#[derive(Clone, Debug)]
pub struct LmBatch {
    /// What the model reads, `[batch, length]`: for an encoder-decoder the encoder's input, for a decoder what goes
    /// before the labels.
    pub source: Tensor<2, Int>,
    /// `[batch, length]`: 1 for real positions of the source, 0 for padding.
    pub mask: Tensor<2>,
    /// What the model should answer, `[batch, target length]`, padded with [`IGNORED_LABEL`](crate::IGNORED_LABEL).
    pub labels: Tensor<2, Int>,
}

/// A language model that can be prompted.
///
/// A model knows no prompts, only a `prefix`: embeddings, `[n, d_model]`, that go before every row of the source. A
/// prefix on an autodiff device gets gradients, whatever device the weights are on.
///
/// Nothing here says whether there is an encoder: a decoder puts prefix, source and labels one after the other.
pub trait Lm {
    /// The device that holds the weights.
    fn device(&self) -> Device;

    /// Embeddings of `ids`, `[batch, length]` to `[batch, length, d_model]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// Teacher forcing: logits `[batch, target length, vocabulary]`, at each position those of the label there, given
    /// prefix, source and all labels before it. `taps` see the activations.
    fn logits(&self, prefix: Option<Tensor<2>>, batch: &LmBatch, taps: &mut dyn Taps) -> Tensor<3>;

    /// The loss of the labels under teacher forcing.
    fn loss(&self, prefix: Option<Tensor<2>>, batch: &LmBatch, taps: &mut dyn Taps) -> Loss {
        Loss::new(self.logits(prefix, batch, taps), batch.labels.clone())
    }

    /// The loss of the labels, summed and divided by `over`, `[1]`, and its gradient with respect to `prefix`, like it
    /// `[n, d_model]`; neither on an autodiff device. `prefix` is a leaf on one that requires gradients. With the number of
    /// labels as `over` that is the mean; with the number of a larger batch, of which this is a part, the parts add up to
    /// its mean. `counter` counts the forward pass, once, even if the backward pass computes some of it again.
    fn loss_and_gradient(
        &self,
        prefix: &Tensor<2>,
        batch: &LmBatch,
        over: f64,
        counter: &mut MacCounter,
    ) -> (Tensor<1>, Tensor<2>) {
        in_one_graph(self, prefix, batch, over, counter)
    }

    /// The answer to each row of `source`, `[batch, length]`, under `mask` (1 = real, 0 = padding). An answer ends with
    /// the end-of-sequence token, which is part of it, unless the limit ends it.
    fn answer(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        generation: &Generation,
    ) -> Vec<Vec<u32>>;

    /// The log-likelihood in nats of each of `labels`, token ids with the end-of-sequence token, as the answer to each row of
    /// `source`, `[batch, length]`, under `mask`: `[batch, labels]`.
    fn score_labels(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        labels: &[Vec<u32>],
    ) -> Tensor<2> {
        rank::one_by_one(self, prefix.as_ref(), &source, &mask, labels)
    }
}

impl Lm for T5 {
    fn device(&self) -> Device {
        self.device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed(ids)
    }

    fn logits(&self, prefix: Option<Tensor<2>>, batch: &LmBatch, taps: &mut dyn Taps) -> Tensor<3> {
        let embeddings = self.embed(batch.source.clone());
        let (embeddings, mask) = prepend(prefix, embeddings, batch.mask.clone());
        let encoded = self.encode_tapped(embeddings, mask, taps);
        let inputs = self.shift_right(batch.labels.clone());
        self.decode_tapped(inputs, &encoded, None, taps)
    }

    fn loss_and_gradient(
        &self,
        prefix: &Tensor<2>,
        batch: &LmBatch,
        over: f64,
        counter: &mut MacCounter,
    ) -> (Tensor<1>, Tensor<2>) {
        if self.recompute() == Recompute::Layers {
            return self.layer_by_layer(prefix, batch, over, counter);
        }
        in_one_graph(self, prefix, batch, over, counter)
    }

    fn answer(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        generation: &Generation,
    ) -> Vec<Vec<u32>> {
        let (embeddings, mask) = prepend(prefix, self.embed(source), mask);
        self.generate(&self.encode(embeddings, mask), generation)
    }

    fn score_labels(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        labels: &[Vec<u32>],
    ) -> Tensor<2> {
        let (embeddings, mask) = prepend(prefix, self.embed(source), mask);
        T5::score_labels(self, &self.encode(embeddings, mask), labels)
    }
}

/// `prefix`, `[n, d_model]`, before each row of `embeddings`, `[batch, length, d_model]`, and as many visible
/// positions before `mask`, `[batch, length]`. Without a prefix, both as they are.
pub fn prepend(
    prefix: Option<Tensor<2>>,
    embeddings: Tensor<3>,
    mask: Tensor<2>,
) -> (Tensor<3>, Tensor<2>) {
    let Some(prefix) = prefix else {
        return (embeddings, mask);
    };
    let [count, d_model] = prefix.dims();
    let [batch, _, _] = embeddings.dims();
    let rows = prefix.unsqueeze::<3>().expand([batch, count, d_model]);
    (
        Tensor::cat(vec![rows, embeddings], 1),
        prepend_visible(mask, count),
    )
}

/// [`Lm::loss_and_gradient`] of any model.
fn in_one_graph(
    model: &(impl Lm + ?Sized),
    prefix: &Tensor<2>,
    batch: &LmBatch,
    over: f64,
    counter: &mut MacCounter,
) -> (Tensor<1>, Tensor<2>) {
    let loss = model.loss(Some(prefix.clone()), batch, counter).sum / over;
    let gradient = prefix.grad_remove(&mut loss.backward());
    let gradient = gradient.unwrap_or_else(|| prefix.clone().inner().zeros_like());
    (loss.inner(), gradient)
}

/// Whether reading a number from this device waits until all that was asked of it before is computed, so that few reads
/// are better than many. A processor has computed already.
pub fn reads_wait(device: &Device) -> bool {
    fused::is_gpu(device)
}
