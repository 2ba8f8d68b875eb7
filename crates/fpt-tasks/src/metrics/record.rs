//! The official evaluation of ReCoRD: that of SQuAD 1.1, over the best of a query's answers.

use super::bag_f1;
use super::squad::{self, normalize_answer, words};

/// 1 if two answers are equal after [normalisation](normalize_answer), else 0.
pub fn exact_match(gold: &str, prediction: &str) -> f64 {
    f64::from(squad::exact_match(gold, prediction))
}

/// F1 of the words of two answers after [normalisation](normalize_answer), as a fraction. Unlike
/// [`squad::f1`] it is 0 where neither has words.
pub fn f1(gold: &str, prediction: &str) -> f64 {
    let (gold, prediction) = (normalize_answer(gold), normalize_answer(prediction));
    bag_f1(&words(&gold), &words(&prediction))
}
