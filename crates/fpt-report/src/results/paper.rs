//! What the paper reports for T5-Large (Tables 1 and 2), to set beside ours.

use fpt_schedule::Method;
use fpt_tasks::{TaskName, Tasks};

/// A row of the paper's tables.
pub(crate) struct PaperRow {
    /// The method, as [`Method`] writes it.
    method: &'static str,
    /// The mean over the tasks.
    pub average: f64,
    /// FLOPs, percent of prompt tuning's.
    pub flops: f64,
    /// Wall-clock time, percent of prompt tuning's.
    pub wall: f64,
    /// Gain over prompt tuning stopped at the same FLOPs.
    pub improve: Option<f64>,
}

impl PaperRow {
    /// The row of a method in T5-Large's tables, if the paper has it.
    pub(crate) fn of(method: Method) -> Option<&'static Self> {
        let name = method.to_string();
        ROWS.iter().find(|row| row.method == name)
    }

    /// The score of a task, if it is one of the paper's.
    pub(crate) fn score(&self, name: &TaskName) -> Option<f64> {
        Tasks::paper().get(name).ok()?.paper()?.score(self.method)
    }
}

const fn row(
    method: &'static str,
    [average, flops, wall]: [f64; 3],
    improve: Option<f64>,
) -> PaperRow {
    PaperRow {
        method,
        average,
        flops,
        wall,
        improve,
    }
}

/// T5-Large.
const ROWS: [PaperRow; 13] = [
    row("pt", [71.51, 100., 100.], None),
    row("ld-1/4", [45.78, 30., 35.], None),
    row("ld-1/2", [51.24, 54., 56.], None),
    row("ld-3/4", [62.76, 77., 77.], None),
    row("fr-1/4", [63.08, 58., 72.], None),
    row("fr-1/2", [68.19, 72., 81.], None),
    row("fr-3/4", [70.41, 86., 91.], None),
    row("cr-1/4", [46.00, 20., 28.], None),
    row("cr-1/2", [48.45, 40., 47.], None),
    row("cr-3/4", [62.30, 66., 71.], None),
    row("fpt-ld", [70.92, 72., 74.], Some(0.11)),
    row("fpt-fr", [71.50, 83., 89.], Some(0.49)),
    row("fpt-cr", [70.87, 65., 70.], Some(0.38)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_those_of_the_tasks() {
        for row in &ROWS {
            let scores = TaskName::PAPER.iter().filter_map(|task| row.score(task));
            let scores: Vec<f64> = scores.collect();
            assert_eq!(scores.len(), TaskName::PAPER.len(), "{}", row.method);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            assert!(
                (mean - row.average).abs() < 0.0151,
                "{}: {mean}",
                row.method
            );
        }
    }

    #[test]
    fn a_task_that_is_none_of_the_papers_has_no_figures() {
        let reviews = TaskName::new("reviews").expect("a name");
        assert!(ROWS.iter().all(|row| row.score(&reviews).is_none()));
    }
}
