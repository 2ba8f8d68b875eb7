//! Whether a benchmark became slower: a ratio of medians, and how far noise lets it be trusted.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::bench::stats::{median, quantile};

/// A regression's ratio is above this...
pub(super) const CHANGE: f64 = 1.10;
/// ...and all of its interval above this.
pub(super) const SURE: f64 = 1.05;
const RESAMPLES: usize = 10_000;
/// What the interval leaves out on each side.
const TAIL: f64 = 0.025;

/// Seconds of an iteration, as the two processes of a round measured them.
#[derive(Serialize)]
pub(super) struct Round {
    pub base: Vec<f64>,
    pub now: Vec<f64>,
}

impl Round {
    fn ratio(&self) -> f64 {
        median(&self.now) / median(&self.base)
    }

    /// As if both processes had measured again: as many values, drawn with replacement.
    fn redrawn(&self, random: &mut ChaCha8Rng) -> f64 {
        let mut again = |values: &[f64]| -> Vec<f64> {
            let mut draw = |_| values[random.random_range(0..values.len())];
            (0..values.len()).map(&mut draw).collect()
        };
        median(&again(&self.now)) / median(&again(&self.base))
    }
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// Slower by more than a tenth, and surely by more than a twentieth.
    Regression,
    /// Faster by as much.
    Improvement,
    /// A regression can be excluded.
    NoRegression,
    /// The interval is too wide to tell.
    Unclear,
}

/// A benchmark of both sides.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub name: String,
    /// Medians, in seconds, of the rounds' medians.
    pub base: f64,
    pub now: f64,
    /// Median of the rounds' ratios of medians, now by base.
    pub ratio: f64,
    /// Where it lies with 95 % confidence; see [`interval`].
    pub interval: [f64; 2],
    pub verdict: Verdict,
    pub rounds: Vec<Round>,
}

impl Comparison {
    /// Each side of a round has at least one value.
    pub(super) fn of(name: &str, rounds: Vec<Round>) -> Self {
        let over = |of: fn(&Round) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
        let ratio = over(Round::ratio);
        let interval = interval(&rounds);
        Self {
            name: name.into(),
            base: over(|round| median(&round.base)),
            now: over(|round| median(&round.now)),
            ratio,
            interval,
            verdict: verdict(ratio, interval),
            rounds,
        }
    }
}

/// The interval of the median ratio by a bootstrap of two levels: rounds are drawn with replacement, and in each drawn round
/// the values of both of its processes. The seed is fixed, so that the same samples get the same interval.
///
/// Two kinds of noise are thus counted. Values within a process scatter, which criterion's own interval tells; and whole
/// processes are faster or slower (where their memory lies, what else the machine does), which only several processes
/// tell, and which is mostly the larger. A round's two processes run one after the other, so that their ratio is free of
/// what changes slowly.
///
/// A bootstrap of few values is rough: of four rounds, three or more of those that are drawn are the lowest one in 5 % of
/// the draws, so the interval's ends are about the lowest and the highest round. Simulated with four rounds of ten values, it
/// holds the true ratio in 97 of 100 comparisons where values scatter most, in 90 where processes do. For a regression
/// about every round must show one of more than [`SURE`]: if both sides are alike, that happens, together with a median above
/// [`CHANGE`], in 2 of 1000 comparisons where processes scatter by 5 %, and in 9 where they do by 10 %.
fn interval(rounds: &[Round]) -> [f64; 2] {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<f64> = (0..rounds.len())
                .map(|_| {
                    let round = &rounds[random.random_range(0..rounds.len())];
                    round.redrawn(&mut random)
                })
                .collect();
            median(&drawn)
        })
        .collect();
    [TAIL, 1.0 - TAIL].map(|share| quantile(&medians, share))
}

fn verdict(ratio: f64, [low, high]: [f64; 2]) -> Verdict {
    if ratio > CHANGE && low > SURE {
        Verdict::Regression
    } else if ratio < 1.0 / CHANGE && high < 1.0 / SURE {
        Verdict::Improvement
    } else if high > CHANGE {
        Verdict::Unclear
    } else {
        Verdict::NoRegression
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number around 0 that is rarely beyond 3.
    fn normal(random: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Four rounds in which this side takes `ratio` times as long; processes and their single values scatter by these
    /// shares.
    fn rounds(ratio: f64, processes: f64, values: f64, seed: u64) -> Vec<Round> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut process = |seconds: f64| -> Vec<f64> {
            let seconds = seconds * (processes * normal(&mut random)).exp();
            let mut value = |_| seconds * (values * normal(&mut random)).exp();
            (0..10).map(&mut value).collect()
        };
        (0..4)
            .map(|_| Round {
                base: process(0.01),
                now: process(0.01 * ratio),
            })
            .collect()
    }

    /// How many of a hundred comparisons have this verdict.
    fn count(verdict: Verdict, ratio: f64, processes: f64, values: f64) -> usize {
        (0..100)
            .map(|seed| Comparison::of("step", rounds(ratio, processes, values, seed)))
            .filter(|comparison| comparison.verdict == verdict)
            .count()
    }

    #[test]
    fn noise_around_equality_is_no_regression() {
        assert_eq!(count(Verdict::Regression, 1.0, 0.02, 0.05), 0);
        assert!(count(Verdict::NoRegression, 1.0, 0.02, 0.05) >= 95);
        assert!(count(Verdict::Regression, 1.0, 0.05, 0.10) <= 1);
    }

    #[test]
    fn a_fifth_more_is_a_regression() {
        assert_eq!(count(Verdict::Regression, 1.2, 0.02, 0.05), 100);
    }

    #[test]
    fn a_few_percent_more_are_none() {
        assert_eq!(count(Verdict::Regression, 1.05, 0.02, 0.05), 0);
    }

    #[test]
    fn wild_noise_leaves_a_fifth_more_unclear() {
        let steady = |factors: [f64; 4]| -> Vec<Round> {
            let round = |factor| Round {
                base: vec![0.01; 10],
                now: vec![0.01 * factor; 10],
            };
            factors.map(round).into()
        };
        // Between processes: the median is above 1.2.
        let between = Comparison::of("step", steady([1.6, 0.9, 1.25, 1.2]));
        assert_eq!(between.verdict, Verdict::Unclear);
        assert!(between.ratio > 1.2);
        // Within them: of each process's values.
        let scattered = |seconds: f64| -> Vec<f64> {
            let factors = [0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.4, 2.0, 3.0, 4.0];
            factors.map(|factor| seconds * factor).into()
        };
        let round = || Round {
            base: scattered(0.01),
            now: scattered(0.012),
        };
        let within = Comparison::of("step", vec![round(), round(), round(), round()]);
        assert_eq!(within.verdict, Verdict::Unclear);
        assert!((within.ratio - 1.2).abs() < 1e-9);
    }

    #[test]
    fn less_is_an_improvement() {
        assert_eq!(count(Verdict::Improvement, 0.8, 0.02, 0.05), 100);
    }

    #[test]
    fn the_same_samples_get_the_same_interval() {
        let interval = || Comparison::of("step", rounds(1.0, 0.05, 0.05, 7)).interval;
        assert_eq!(interval(), interval());
        let [low, high] = interval();
        assert!(low < high);
    }

    #[test]
    fn one_value_is_enough_to_be_compared() {
        let round = || Round {
            base: vec![1.0],
            now: vec![1.0],
        };
        let equal = Comparison::of("step", vec![round(), round()]);
        assert_eq!((equal.ratio, equal.interval), (1.0, [1.0, 1.0]));
    }
}
