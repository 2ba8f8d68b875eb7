//! How long texts are.

use serde::Serialize;

/// The distribution of a length. Percentiles are of the nearest rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// The shortest.
    pub min: usize,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: usize,
    /// 90 % are at most so long.
    pub p90: usize,
    /// 95 % are at most so long.
    pub p95: usize,
    /// 99 % are at most so long.
    pub p99: usize,
    /// The longest.
    pub max: usize,
}

/// The lengths of one side of the examples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextLengths {
    /// In Unicode characters.
    pub characters: Distribution,
    /// In words, split at whitespace.
    pub words: Distribution,
    /// In tokens, if they were counted.
    pub tokens: Option<Distribution>,
    /// The limit, in tokens.
    pub limit: usize,
    /// How many are longer than the limit and will be cut, if tokens were counted.
    pub over_limit: Option<usize>,
}

impl Distribution {
    /// `None` of nothing.
    pub(super) fn of(lengths: &mut [u32]) -> Option<Self> {
        lengths.sort_unstable();
        let (first, last) = (*lengths.first()?, *lengths.last()?);
        let sum: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        let rank = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100);
            lengths[rank.max(1) - 1] as usize
        };
        Some(Self {
            min: first as usize,
            mean: sum as f64 / lengths.len() as f64,
            p50: rank(50),
            p90: rank(90),
            p95: rank(95),
            p99: rank(99),
            max: last as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut hundred: Vec<u32> = (1..=100).rev().collect();
        let percentiles = |d: Distribution| (d.min, d.mean, d.p50, d.p90, d.p95, d.p99, d.max);
        assert_eq!(
            Distribution::of(&mut hundred).map(percentiles),
            Some((1, 50.5, 50, 90, 95, 99, 100))
        );
        assert_eq!(
            Distribution::of(&mut [7]).map(percentiles),
            Some((7, 7.0, 7, 7, 7, 7, 7))
        );
        assert_eq!(Distribution::of(&mut []), None);
    }
}
