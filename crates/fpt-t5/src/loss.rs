use burn::tensor::{Int, Tensor};

use crate::fused;

/// The label that the loss passes over, as in transformers.
pub const IGNORED_LABEL: i32 = -100;

/// Mean cross-entropy of `logits`, `[batch, length, vocabulary]`, over the `labels`, `[batch, length]`,
/// that are not [`IGNORED_LABEL`]. A batch without a label to count gives 0.
pub fn cross_entropy(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<1> {
    let [batch, length, vocabulary] = logits.dims();
    let rows = batch * length;
    let counted = labels.clone().not_equal_scalar(IGNORED_LABEL).float().sum();
    let logits = logits.reshape([rows, vocabulary]);
    fused::negative_log_likelihood(logits, labels.reshape([rows])).sum() / counted.clamp_min(1.0)
}
