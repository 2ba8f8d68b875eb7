//! The picture that the method is about: what a prompt scores that was trained with so many FLOPs.

use fpt_schedule::Method;

use super::{Results, Run};
use crate::html::{Curves, Series};
use crate::stats::mean;

/// Between two points of a curve, percent of prompt tuning's FLOPs.
const STEP: usize = 2;

impl Results {
    /// Prompt tuning and what ends on the full model, each a curve over FLOPs: the best dev score so far, mean over all
    /// tasks and seeds. `None` where there is nothing to compare.
    pub(super) fn equal_cost(&self) -> Option<Curves> {
        let rows = self.rows.iter().filter(|row| row.on_full_model);
        let rows = rows.filter(|row| !matches!(row.method, Some(Method::Partial(..))));
        let series = rows.filter_map(|row| {
            let own = self.runs.iter().filter(|run| {
                let of_row = run.schedule().label() == row.label;
                of_row && run.method() == row.method
            });
            let pairs: Vec<Progress> = own.filter_map(|run| self.progress(run)).collect();
            let points = mean_curve(&pairs)?;
            Some(Series {
                label: row.label.clone(),
                points,
                boundaries: Vec::new(),
            })
        });
        let series: Vec<Series> = series.collect();
        (series.len() > 1).then(|| Curves {
            caption: "Dev score of the best prompt so far, on the full model, over the FLOPs spent on it; mean over \
                      tasks and seeds. A curve ends where its training does."
                .into(),
            x_label: "training FLOPs, % of prompt tuning".into(),
            y_label: "average dev score, %".into(),
            series,
        })
    }

    /// `None` without the prompt tuning that it is compared with.
    fn progress(&self, run: &Run) -> Option<Progress> {
        let plain = run.plain_among(&self.runs)?;
        let percent = |flops: f64| 100.0 * flops / plain.finished.result.flops;
        let mut best = 0.0f64;
        let curve = run.dev_curve().into_iter().map(|(flops, score)| {
            best = best.max(score);
            (percent(flops), best)
        });
        Some(Progress {
            curve: curve.collect(),
            end: percent(run.finished.result.flops),
        })
    }
}

/// How a training goes on, percent over percent.
struct Progress {
    /// The best score so far after each evaluation.
    curve: Vec<(f64, f64)>,
    /// Where it ends.
    end: f64,
}

impl Progress {
    /// `None` before the first evaluation and after the end.
    fn at(&self, x: f64) -> Option<f64> {
        let before = self.curve.iter().rev().find(|&&(at, _)| at <= x);
        before.map(|&(_, score)| score).filter(|_| x <= self.end)
    }
}

/// Where all trainings are on their way, and the mean of their ends.
fn mean_curve(pairs: &[Progress]) -> Option<Vec<(f64, f64)>> {
    let at = |x: f64| -> Option<f64> {
        let scores: Option<Vec<f64>> = pairs.iter().map(|progress| progress.at(x)).collect();
        scores.map(|scores| mean(&scores))
    };
    let ends: Option<Vec<(f64, f64)>> = pairs
        .iter()
        .map(|progress| Some((progress.end, progress.curve.last()?.1)))
        .collect();
    let ends = ends.filter(|ends| !ends.is_empty())?;
    let end = mean(&ends.iter().map(|end| end.0).collect::<Vec<_>>());
    let last = mean(&ends.iter().map(|end| end.1).collect::<Vec<_>>());
    let grid = (0..=100).step_by(STEP).map(|x| x as f64);
    let mut points: Vec<(f64, f64)> = grid
        .filter(|&x| x < end)
        .filter_map(|x| Some((x, at(x)?)))
        .collect();
    points.push((end, last));
    Some(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_curve_has_what_all_have() {
        let progress = |curve: &[(f64, f64)], end| Progress {
            curve: curve.to_vec(),
            end,
        };
        let pairs = [
            progress(&[(3.0, 10.0), (7.0, 30.0)], 7.0),
            progress(&[(4.0, 20.0), (9.0, 50.0)], 9.0),
        ];
        let points = mean_curve(&pairs).expect("a curve");
        // Both are on their way from 4 to 7; their ends are 7 and 9.
        assert_eq!(points, [(4.0, 15.0), (6.0, 15.0), (8.0, 40.0)]);
        assert_eq!(mean_curve(&[]), None);
        assert_eq!(mean_curve(&[progress(&[], 1.0)]), None);
    }
}
