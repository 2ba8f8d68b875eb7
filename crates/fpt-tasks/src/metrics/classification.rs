//! Accuracy and F1, as scikit-learn defines them.

use super::mean_percent;

/// The share of pairs `(prediction, gold)` that are equal, in percent; 0 of none.
pub fn accuracy<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    mean_percent(pairs.into_iter().map(|(p, gold)| f64::from(p == gold)))
}

/// F1 of the positive class over pairs `(predicted, actual)`, in percent; 0 where nothing is
/// positive.
pub fn binary_f1(pairs: impl IntoIterator<Item = (bool, bool)>) -> f64 {
    let (mut both, mut either) = (0_u64, 0_u64);
    for (predicted, actual) in pairs {
        both += u64::from(predicted && actual);
        either += u64::from(predicted) + u64::from(actual);
    }
    100.0 * (2 * both) as f64 / either.max(1) as f64
}
