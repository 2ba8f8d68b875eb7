//! The loss of a language model.

use burn::tensor::{Int, Tensor};

use crate::fused;

/// The label that the loss passes over, as in transformers.
pub const IGNORED_LABEL: i32 = -100;

/// The loss of a batch as a sum and a count, so that parts of a batch can be added up exactly.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Negative log-likelihood in nats, summed over the labels that count, `[1]`.
    pub sum: Tensor<1>,
    /// How many labels count, `[1]`.
    pub count: Tensor<1>,
}

impl Loss {
    /// Cross-entropy of `logits`, `[batch, length, vocabulary]`, with the `labels`, `[batch, length]`, that are not
    /// [`IGNORED_LABEL`].
    pub fn new(logits: Tensor<3>, labels: Tensor<2, Int>) -> Self {
        let [batch, length, vocabulary] = logits.dims();
        let rows = batch * length;
        let count = labels.clone().not_equal_scalar(IGNORED_LABEL).float().sum();
        let logits = logits.reshape([rows, vocabulary]);
        let sum = fused::negative_log_likelihood(logits, labels.reshape([rows])).sum();
        Self { sum, count }
    }

    /// The mean over the labels that count, `[1]`, which training descends. A batch without one gives 0.
    pub fn mean(self) -> Tensor<1> {
        self.sum / self.count.clamp_min(1.0)
    }
}
