use burn::tensor::{Int, Tensor};

/// The label that the loss passes over, as in transformers.
pub const IGNORED_LABEL: i32 = -100;

/// Mean cross-entropy of `logits`, `[batch, length, vocabulary]`, over the `labels`, `[batch, length]`,
/// that are not [`IGNORED_LABEL`]. A batch without a label to count gives 0.
pub fn cross_entropy(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<1> {
    let [batch, length, vocabulary] = logits.dims();
    let rows = batch * length;
    let labels = labels.reshape([rows, 1]);
    let ignored = labels.clone().equal_scalar(IGNORED_LABEL);
    let counted = ignored.clone().bool_not().float();
    let target = labels.mask_fill(ignored, 0);

    let logits = logits.reshape([rows, vocabulary]);
    // log-sum-exp minus the target's logit: one pass less than a full log-softmax.
    let top = logits.clone().detach().max_dim(1);
    let log_sum_exp = (logits.clone() - top.clone()).exp().sum_dim(1).log() + top;
    let nll = (log_sum_exp - logits.gather(1, target)) * counted.clone();
    nll.sum() / counted.sum().clamp_min(1.0)
}
