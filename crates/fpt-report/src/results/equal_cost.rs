//! The picture that the method is about: what a prompt scores that was trained with so many FLOPs.

use std::collections::BTreeMap;

use fpt_schedule::Method;
use fpt_tasks::{Split, TaskName};

use super::{Results, Run};
use crate::html::{Curves, Series};
use crate::stats::{deviation, mean};

/// Between two points of a curve, percent of prompt tuning's FLOPs.
const STEP: usize = 2;

impl Results {
    /// Prompt tuning and what ends on the full model, each a curve over FLOPs: the best dev score so far, mean over all
    /// tasks and seeds. `None` where there is nothing to compare.
    pub(super) fn equal_cost(&self) -> Option<Curves> {
        let rows = self.rows.iter().filter(|row| row.on_full_model);
        let rows = rows.filter(|row| !matches!(row.method, Some(Method::Partial(..))));
        let series = rows.filter_map(|row| {
            let own = self.runs_of(row);
            let pairs: Vec<Progress> = own.filter_map(|run| self.progress(run)).collect();
            let (points, errors) = mean_curve(&pairs)?;
            Some(Series {
                label: row.label.clone(),
                look: self.look(row.method, &row.label),
                points,
                errors,
                boundaries: Vec::new(),
            })
        });
        let series: Vec<Series> = series.collect();
        (series.len() > 1).then(|| Curves {
            caption: "Dev score of the best prompt so far, on the full model, over the FLOPs spent on it; mean over \
                      tasks and seeds, and where there are several seeds, bars of ± a standard deviation over them at \
                      some points. A curve ends where its training does."
                .into(),
            x_label: "training FLOPs, % of prompt tuning".into(),
            y_label: "average dev score, %".into(),
            series,
        })
    }

    /// The dev score of the frozen model without a prompt, where some run measured it on dev.
    pub(super) fn start_on_dev(&self, task: &TaskName) -> Option<f64> {
        let of_task = self.rows.iter().filter_map(|row| row.tasks.get(task));
        let mut known = of_task.filter_map(|entry| entry.no_prompt);
        known.next().filter(|_| self.split == Split::Dev)
    }

    /// `None` without the prompt tuning that it is compared with.
    fn progress(&self, run: &Run) -> Option<Progress> {
        let plain = run.plain_among(&self.runs)?;
        let percent = |flops: f64| 100.0 * flops / plain.finished.result.flops;
        let start = self.start_on_dev(run.task());
        let mut best = start.unwrap_or(0.0);
        let curve = run.dev_curve().into_iter().map(|(flops, score)| {
            best = best.max(score);
            (percent(flops), best)
        });
        let start = start.map(|score| (0.0, score));
        Some(Progress {
            seed: run.seed(),
            curve: start.into_iter().chain(curve).collect(),
            end: percent(run.finished.result.flops),
        })
    }
}

/// How a training goes on, percent over percent.
struct Progress {
    seed: u64,
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

/// Points, and standard deviations over seeds.
type Curve = (Vec<(f64, f64)>, Vec<f64>);

/// Where all trainings are on their way, and the mean of their ends.
fn mean_curve(pairs: &[Progress]) -> Option<Curve> {
    let at = |x: f64| -> Option<(f64, f64)> {
        let scores = pairs
            .iter()
            .map(|progress| Some((progress.seed, progress.at(x)?)));
        scores.collect::<Option<Vec<_>>>().map(mean_over_seeds)
    };
    let ends: Option<Vec<(f64, f64)>> = pairs
        .iter()
        .map(|progress| Some((progress.end, progress.curve.last()?.1)))
        .collect();
    let ends = ends.filter(|ends| !ends.is_empty())?;
    let end = mean(&ends.iter().map(|end| end.0).collect::<Vec<_>>());
    let seeds = pairs.iter().map(|progress| progress.seed);
    let last = mean_over_seeds(seeds.zip(ends).map(|(seed, end)| (seed, end.1)).collect());
    let grid = (0..=100).step_by(STEP).map(|x| x as f64);
    let on_the_way = grid.filter(|&x| x < end).filter_map(|x| Some((x, at(x)?)));
    let all = on_the_way.chain([(end, last)]);
    Some(all.map(|(x, (score, error))| ((x, score), error)).unzip())
}

/// The mean of scores with their seeds, and the standard deviation over seeds of their means: 0 where seeds do not have as
/// many each, or there is one.
fn mean_over_seeds(scores: Vec<(u64, f64)>) -> (f64, f64) {
    let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (seed, score) in &scores {
        by_seed.entry(*seed).or_default().push(*score);
    }
    let all: Vec<f64> = scores.into_iter().map(|(_, score)| score).collect();
    let equal = by_seed
        .values()
        .all(|of_seed| of_seed.len() * by_seed.len() == all.len());
    let means: Vec<f64> = by_seed.values().map(|scores| mean(scores)).collect();
    let error = deviation(&means).filter(|_| equal);
    (mean(&all), error.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_curve_has_what_all_have() {
        let progress = |seed, curve: &[(f64, f64)], end| Progress {
            seed,
            curve: curve.to_vec(),
            end,
        };
        let pairs = [
            progress(0, &[(3.0, 10.0), (7.0, 30.0)], 7.0),
            progress(1, &[(4.0, 20.0), (9.0, 50.0)], 9.0),
        ];
        let (points, errors) = mean_curve(&pairs).expect("a curve");
        // Both are on their way from 4 to 7; their ends are 7 and 9.
        assert_eq!(points, [(4.0, 15.0), (6.0, 15.0), (8.0, 40.0)]);
        for (error, difference) in errors.iter().zip([10.0, 10.0, 20.0]) {
            assert!(
                (error - difference / f64::sqrt(2.0)).abs() < 1e-9,
                "{errors:?}"
            );
        }
        assert_eq!(mean_curve(&[]), None);
        assert_eq!(mean_curve(&[progress(0, &[], 1.0)]), None);
    }
}
