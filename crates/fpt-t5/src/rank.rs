//! How probable given answers are, for those that are chosen among labels (rank classification).

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{EncoderOutput, KvCache, Lm, LmBatch, NoTaps, T5, fused};

impl T5 {
    /// The log-likelihood in nats of each of `labels`, token ids with the end-of-sequence token, for each row of `encoded`:
    /// `[batch, labels]`. What labels begin with in common is decoded once.
    ///
    /// # Panics
    /// Where a label has no token.
    pub fn score_labels(&self, encoded: &EncoderOutput, labels: &[Vec<u32>]) -> Tensor<2> {
        let device = encoded.hidden.device();
        let [batch, _, _] = encoded.hidden.dims();
        let common = common_start(labels);
        let start = labels.first().map_or(&[][..], |label| &label[..common]);
        let mut input = vec![self.config().decoder_start_token_id];
        input.extend(start);
        let mut cache = KvCache::new();
        let logits = self.decode(rows(&input, batch, &device), encoded, Some(&mut cache));
        let [_, _, vocabulary] = logits.dims();
        let next = logits
            .clone()
            .slice([0..batch, common..common + 1, 0..vocabulary]);
        let shared = (common > 0).then(|| {
            let logits = logits.slice([0..batch, 0..common, 0..vocabulary]);
            log_likelihood(logits, start)
        });
        let scores = labels.iter().map(|label| {
            let rest = &label[common..];
            let (_, before) = rest.split_last().unwrap_or((&0, &[]));
            let logits = if before.is_empty() {
                next.clone()
            } else {
                let input = rows(before, batch, &device);
                let after = self.decode(input, encoded, Some(&mut cache.clone()));
                Tensor::cat(vec![next.clone(), after], 1)
            };
            let own = log_likelihood(logits, rest);
            match &shared {
                Some(shared) => own + shared.clone(),
                None => own,
            }
        });
        Tensor::cat(scores.collect(), 1)
    }
}

/// [`Lm::score_labels`] of any model, one label after the other.
pub(crate) fn one_by_one(
    model: &(impl Lm + ?Sized),
    prefix: Option<&Tensor<2>>,
    source: &Tensor<2, Int>,
    mask: &Tensor<2>,
    labels: &[Vec<u32>],
) -> Tensor<2> {
    let [count, _] = source.dims();
    let scores = labels.iter().map(|label| {
        let batch = LmBatch {
            source: source.clone(),
            mask: mask.clone(),
            labels: rows(label, count, &source.device()),
        };
        log_likelihood(model.logits(prefix.cloned(), &batch, &mut NoTaps), label)
    });
    Tensor::cat(scores.collect(), 1)
}

/// Of `label` under `logits`, `[batch, length, vocabulary]`: `[batch, 1]`.
fn log_likelihood(logits: Tensor<3>, label: &[u32]) -> Tensor<2> {
    let [batch, length, vocabulary] = logits.dims();
    let labels = rows(label, batch, &logits.device());
    let losses = fused::negative_log_likelihood(
        logits.reshape([batch * length, vocabulary]),
        labels.reshape([batch * length]),
    );
    -losses.reshape([batch, length]).sum_dim(1)
}

/// The same ids in each row, `[batch, length]`.
fn rows(ids: &[u32], batch: usize, device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let row = Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), [1, ids.len()]), device);
    row.repeat_dim(0, batch)
}

/// How many tokens all labels begin with, short of the last of any.
fn common_start(labels: &[Vec<u32>]) -> usize {
    let Some((first, others)) = labels.split_first() else {
        return 0;
    };
    let shared = |other: &Vec<u32>| {
        let pairs = first.iter().zip(other);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let most = labels.iter().map(|label| label.len().saturating_sub(1));
    others.iter().map(shared).chain(most).min().unwrap_or(0)
}
