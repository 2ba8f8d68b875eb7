//! The little statistics that the report needs.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Values of several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, from two on.
    pub deviation: Option<f64>,
    /// The values.
    pub values: Vec<f64>,
}

impl Summary {
    /// Of at least one value.
    pub fn of(values: Vec<f64>) -> Self {
        let mean = mean(&values);
        Self {
            mean,
            deviation: deviation(&values),
            values,
        }
    }

    /// `12.34 ± 0.56`.
    pub fn text(&self) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.2} ± {deviation:.2}", self.mean),
            None => format!("{:.2}", self.mean),
        }
    }
}

/// 0 for no values.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Sample standard deviation, from two values on.
pub(crate) fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The value at `x` of a curve through `points`, which ascend in x: straight lines between them, constant
/// outside. `None` without points.
pub(crate) fn interpolate(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = points.iter().position(|&(px, _)| px >= x);
    match after {
        None => points.last().map(|&(_, y)| y),
        Some(0) => Some(points[0].1),
        Some(next) => {
            let ((x0, y0), (x1, y1)) = (points[next - 1], points[next]);
            Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
        }
    }
}

/// Most pairs for which all assignments of signs are tried.
pub(crate) const MOST_PAIRS: usize = 20;
/// Fewest pairs that can show anything: with four, p is never below 0.125.
pub(crate) const FEWEST_PAIRS: usize = 5;

/// Two-sided p of an exact paired sign-flip test: how often the mean of the differences would be at least as far
/// from zero if each had either sign by chance. `None` for too few pairs, or too many to try all signs.
pub(crate) fn sign_flip_test(differences: &[f64]) -> Option<f64> {
    if !(FEWEST_PAIRS..=MOST_PAIRS).contains(&differences.len()) {
        return None;
    }
    let seen = differences.iter().sum::<f64>().abs();
    let all = 1u32 << differences.len();
    let as_far = (0..all).filter(|signs| {
        let flipped = differences.iter().enumerate().map(|(i, difference)| {
            let sign = if signs >> i & 1 == 1 { 1.0 } else { -1.0 };
            sign * difference
        });
        // Sums of the same numbers in another order: equal up to rounding.
        flipped.sum::<f64>().abs() >= seen - 1e-9
    });
    Some(as_far.count() as f64 / f64::from(all))
}

/// What paired differences come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedTest {
    /// Their mean.
    pub mean: f64,
    /// Its 95 % confidence interval, by Student's t.
    pub interval: [f64; 2],
    /// Effect size: the mean by the standard deviation (Cohen's d of paired samples).
    pub effect: f64,
    /// Two-sided p of the exact sign-flip test; 1 where it says nothing.
    pub p: f64,
    /// The differences.
    pub differences: Vec<f64>,
}

impl PairedTest {
    /// Of at least two differences; of fewer nothing is known but their mean.
    pub(crate) fn of(differences: &[f64]) -> Self {
        let (mean, count) = (mean(differences), differences.len() as f64);
        let deviation = deviation(differences).unwrap_or(f64::INFINITY);
        let t =
            StudentsT::new(0.0, 1.0, count - 1.0).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975));
        let half = t * deviation / count.sqrt();
        Self {
            mean,
            interval: [mean - half, mean + half],
            effect: mean / deviation,
            p: sign_flip_test(differences).unwrap_or(1.0),
            differences: differences.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_is_straight_between_points_and_constant_outside() {
        let points = [(1.0, 10.0), (3.0, 20.0), (4.0, 0.0)];
        for (x, y) in [
            (0.0, 10.0),
            (1.0, 10.0),
            (2.0, 15.0),
            (3.5, 10.0),
            (9.0, 0.0),
        ] {
            assert_eq!(interpolate(&points, x), Some(y));
        }
        assert_eq!(interpolate(&[], 1.0), None);
    }

    #[test]
    fn signs_are_flipped_in_all_ways() {
        // Only all plus and all minus are as far: 2 of 32.
        assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(2.0 / 32.0));
        assert_eq!(sign_flip_test(&[0.0; 5]), Some(1.0));
        assert_eq!(sign_flip_test(&[1.0; 4]), None);
        // The sum is 3: four or five of a sign, both ways, are 12 assignments.
        assert_eq!(
            sign_flip_test(&[1.0, 1.0, 1.0, 1.0, -1.0]),
            Some(12.0 / 32.0)
        );
    }

    /// The fixture of `tests/paired/make_fixture.py`.
    #[test]
    fn paired_tests_equal_scipy() {
        #[derive(serde::Deserialize)]
        struct Fixture {
            cases: Vec<Case>,
        }
        #[derive(serde::Deserialize)]
        struct Case {
            differences: Vec<f64>,
            p: f64,
            interval: [f64; 2],
            effect: f64,
        }
        let text = include_str!("../tests/paired/paired.json");
        let fixture: Fixture = serde_json::from_str(text).expect("a fixture");
        assert_eq!(fixture.cases.len(), 5);
        for case in fixture.cases {
            let ours = PairedTest::of(&case.differences);
            let near = |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-9;
            let what = format!("{ours:?} {:?}", case.interval);
            assert!(
                near(ours.p, case.p) && near(ours.effect, case.effect),
                "{what}"
            );
            assert!(near(ours.interval[0], case.interval[0]), "{what}");
            assert!(near(ours.interval[1], case.interval[1]), "{what}");
        }
    }

    #[test]
    fn a_summary_has_a_deviation_from_two_values_on() {
        assert_eq!(Summary::of(vec![3.0]).text(), "3.00");
        assert_eq!(Summary::of(vec![2.0, 4.0]).text(), "3.00 ± 1.41");
    }
}
