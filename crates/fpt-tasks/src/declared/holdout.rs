//! Splits out of one file.

use std::collections::{BTreeMap, HashMap};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Holdout;
use crate::{Example, Split};

/// Which split each example is in. Examples of the same source are in the same; labels are spread evenly; the order of the
/// examples does not matter.
pub(super) fn splits(holdout: &Holdout, examples: &[Example]) -> Vec<Split> {
    // Of each label the sources that have it first.
    let mut by_label: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for example in examples {
        let label = example.target.as_deref().unwrap_or_default();
        let kept = first.entry(&example.source).or_insert(label);
        // The same whatever the order of the rows.
        *kept = label.min(kept);
    }
    let is_stratified = {
        let mut labels: Vec<_> = first.values().collect();
        labels.sort_unstable();
        labels.dedup();
        labels.len() * 2 <= first.len()
    };
    for (source, label) in &first {
        let label = if is_stratified { label } else { "" };
        by_label.entry(label).or_default().push(source);
    }
    let mut random = ChaCha8Rng::seed_from_u64(holdout.seed);
    let mut order: Vec<(f64, &str)> = Vec::with_capacity(first.len());
    for sources in by_label.values_mut() {
        sources.shuffle(&mut random);
        let count = sources.len() as f64;
        let ranked = sources.iter().enumerate();
        order.extend(ranked.map(|(rank, &source)| ((rank as f64 + 0.5) / count, source)));
    }
    // Stable, so that labels of the same place stay in their order.
    order.sort_by(|a, b| a.0.total_cmp(&b.0));

    let mut of_source: HashMap<&str, Split> = HashMap::with_capacity(order.len());
    let mut rest = order.iter();
    let all = order.len();
    for split in [Split::Dev, Split::Test] {
        let wanted = holdout.of(split).map_or(0, |part| part.rows(all).max(1));
        of_source.extend(
            rest.by_ref()
                .take(wanted)
                .map(|&(_, source)| (source, split)),
        );
    }
    let split = |example: &Example| of_source.get(example.source.as_str()).copied();
    examples
        .iter()
        .map(|example| split(example).unwrap_or(Split::Train))
        .collect()
}
