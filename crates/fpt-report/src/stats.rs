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
/// What must lie below for a difference to be more than chance.
pub(crate) const LEVEL: f64 = 0.05;

/// Two-sided p of a paired sign-flip test: how often the mean of the differences would be at least as far from zero if
/// each had either sign by chance. Exact up to [`MOST_PAIRS`]; of more pairs no less than the exact one, and near it.
pub(crate) fn sign_flip_test(differences: &[f64]) -> f64 {
    if differences.len() > MOST_PAIRS {
        return sign_flip_test_on_grid(differences);
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
    as_far.count() as f64 / f64::from(all)
}

/// Cells of the grid for each pair, and in all: with them a rounded sum is off by less than a hundredth of its standard
/// deviation for hundreds of pairs.
const CELLS: usize = 1 << 12;
const MOST_CELLS: usize = 1 << 20;

/// [`sign_flip_test`] by the distribution of the sum of those sizes that get a minus, rounded down to a grid: so more of
/// them count as far as what was seen, never fewer.
fn sign_flip_test_on_grid(differences: &[f64]) -> f64 {
    let sizes = || differences.iter().map(|difference| difference.abs());
    let total: f64 = sizes().sum();
    let seen = differences.iter().sum::<f64>().abs();
    let unit = total / (CELLS * differences.len()).min(MOST_CELLS) as f64;
    // All minus but the ones that would have to be plus: half of what is missing to the total.
    let limit = ((total - seen + 1e-9) / 2.0 / unit).floor();
    if !limit.is_finite() {
        return 1.0;
    }
    let limit = limit.max(0.0) as usize;
    let mut share = vec![0.0; limit + 1];
    share[0] = 1.0;
    for size in sizes() {
        let step = (size / unit).floor() as usize;
        for cell in (0..=limit).rev() {
            let below = cell.checked_sub(step).map_or(0.0, |cell| share[cell]);
            share[cell] = (share[cell] + below) / 2.0;
        }
    }
    (2.0 * share.iter().sum::<f64>()).min(1.0)
}

/// The least p that so many pairs can have, at least one: that of differences of one sign.
pub(crate) fn least_p(pairs: usize) -> f64 {
    0.5f64.powi(pairs.saturating_sub(1).min(1000) as i32)
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
    /// Two-sided p of the sign-flip test, exact up to 20 pairs.
    pub p: f64,
    /// The least p that so many pairs can have.
    pub least_p: f64,
    /// The differences.
    pub differences: Vec<f64>,
}

impl PairedTest {
    /// Of at least two differences: of fewer nothing is known but their mean.
    pub(crate) fn among(differences: &[f64]) -> Option<Self> {
        (differences.len() > 1).then(|| Self::of(differences))
    }

    /// The standard error of the mean.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        let count = self.differences.len() as f64;
        deviation(&self.differences).map(|deviation| deviation / count.sqrt())
    }

    /// Whether so many pairs can show anything.
    pub(crate) fn can_be_significant(pairs: usize) -> bool {
        least_p(pairs) < LEVEL
    }

    /// Whether the mean is more than chance.
    pub(crate) fn is_significant(&self) -> bool {
        self.p < LEVEL
    }

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
            p: sign_flip_test(differences),
            least_p: least_p(differences.len()),
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
        assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0, 4.0, 5.0]), 2.0 / 32.0);
        assert_eq!(sign_flip_test(&[0.0; 5]), 1.0);
        assert_eq!(sign_flip_test(&[1.0; 4]), least_p(4));
        // The sum is 3: four or five of a sign, both ways, are 12 assignments.
        assert_eq!(sign_flip_test(&[1.0, 1.0, 1.0, 1.0, -1.0]), 12.0 / 32.0);
    }

    /// Numbers without a pattern, from -1 + `shift` to 1 + `shift`.
    fn spread(count: usize, shift: f64) -> Vec<f64> {
        let number = |i: usize| (i as f64 * 0.754_877_666).fract() * 2.0 - 1.0 + shift;
        (1..=count).map(number).collect()
    }

    #[test]
    fn many_pairs_have_a_p_too_and_none_that_is_too_small() {
        for shift in [-0.9, -0.3, 0.0, 0.2, 0.5, 1.5] {
            for count in [6, 15, 20] {
                let differences = spread(count, shift);
                let exact = sign_flip_test(&differences);
                let grid = sign_flip_test_on_grid(&differences);
                let near = grid >= exact - 1e-12 && grid <= exact * 1.02 + 1e-12;
                assert!(near, "{count} {shift}: {grid} for {exact}");
            }
        }
        // All of a sign: nothing is as far but what was seen and its opposite.
        for count in [21, 40, 300] {
            let p = sign_flip_test(&vec![0.5; count]);
            assert_eq!(p, least_p(count), "{count}");
        }
        assert_eq!(sign_flip_test(&[0.0; 30]), 1.0);
        let p = sign_flip_test(&spread(1000, 0.0));
        assert!(p > 0.1 && p <= 1.0, "{p}");
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
