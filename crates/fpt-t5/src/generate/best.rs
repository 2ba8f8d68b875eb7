//! The most probable of many ids.

use crate::fused::{exp_sum, maxima};

/// Logits of which first of all only the largest counts.
const BLOCK: usize = 64;

/// The `keep` most probable ids by a row of `logits`, with their log-probabilities, the most probable first; of equals,
/// the smaller id. There are fewer if there are fewer logits, or where these are no numbers.
///
/// Log-probabilities are differences of hypotheses' scores, so they are computed in f64, but for the exponentials.
pub(super) fn most_probable(logits: &[f32], keep: usize) -> Vec<(u32, f64)> {
    let mut largest = vec![f32::MIN; logits.len().div_ceil(BLOCK)];
    maxima(logits, BLOCK, &mut largest);
    let top = largest.iter().copied().fold(f32::MIN, f32::max);
    let normaliser = f64::from(top) + exp_sum(logits, top).ln();
    // `keep` blocks have a logit that is not below this one, so that no smaller one is wanted.
    let bound = match keep.checked_sub(1) {
        Some(last) if keep < largest.len() => {
            let mut sorted = largest.clone();
            *sorted.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1
        }
        _ => f32::NEG_INFINITY,
    };
    let mut found = Vec::new();
    for (block, logits) in logits.chunks(BLOCK).enumerate() {
        if largest[block] >= bound {
            let ids = (block * BLOCK) as u32..;
            found.extend(ids.zip(logits).filter(|&(_, &logit)| logit >= bound));
        }
    }
    found.sort_unstable_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(&b.0)));
    found.truncate(keep);
    let log_probability = |&logit: &f32| f64::from(logit) - normaliser;
    let found = found.into_iter();
    found
        .map(|(id, logit)| (id, log_probability(logit)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::most_probable;

    /// By sorting all of them, and sums in f64.
    fn sorted(logits: &[f32], keep: usize) -> Vec<(u32, f64)> {
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let mut all: Vec<(u32, f64)> = (0..)
            .zip(logits)
            .map(|(id, &x)| (id, f64::from(x) - sum.ln()))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(keep);
        all
    }

    fn ids(found: &[(u32, f64)]) -> Vec<u32> {
        found.iter().map(|&(id, _)| id).collect()
    }

    proptest! {
        /// Few `values` are many ties.
        #[test]
        fn as_if_all_were_sorted(
            (width, values) in (1..3000_usize, 1..2000_u32),
            keep in 0..40_usize,
            seed in any::<u32>(),
        ) {
            let logit = |i: usize| {
                let random = (i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 7;
                (random % values) as f32 * 40.0 / values as f32 - 20.0
            };
            let logits: Vec<f32> = (0..width).map(logit).collect();
            let (found, expected) = (most_probable(&logits, keep), sorted(&logits, keep));
            prop_assert_eq!(ids(&found), ids(&expected));
            for ((_, found), (_, expected)) in found.into_iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_never_found() {
        let mut logits = vec![0.0; 1000];
        logits[3] = f32::NAN;
        logits[700] = 1.0;
        logits[701] = f32::NAN;
        assert_eq!(ids(&most_probable(&logits, 3)), [700, 0, 1]);
        assert!(most_probable(&[f32::NAN; 1000], 3).is_empty());
    }
}
