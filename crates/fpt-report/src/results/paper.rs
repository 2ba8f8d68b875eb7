//! What the paper reports for T5-Large (Tables 1 and 2), to set beside ours.

use fpt_schedule::Method;
use fpt_tasks::TaskKind;

/// A row of the paper's tables.
pub struct PaperRow {
    /// The method, as [`Method`] writes it.
    method: &'static str,
    /// MNLI accuracy, QQP accuracy, SQuAD 2.0 EM, ReCoRD EM, XSum ROUGE-L.
    scores: [f64; 5],
    /// Their mean.
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
    pub fn of(method: Method) -> Option<&'static Self> {
        let name = method.to_string();
        ROWS.iter().find(|row| row.method == name)
    }

    /// The score of a task.
    pub fn score(&self, task: TaskKind) -> f64 {
        let place = TaskKind::ALL.iter().position(|&kind| kind == task);
        self.scores[place.unwrap_or_default()]
    }
}

const fn row(
    method: &'static str,
    scores: [f64; 5],
    [average, flops, wall]: [f64; 3],
    improve: Option<f64>,
) -> PaperRow {
    PaperRow {
        method,
        scores,
        average,
        flops,
        wall,
        improve,
    }
}

/// T5-Large.
const ROWS: [PaperRow; 13] = [
    row(
        "pt",
        [86.07, 87.26, 76.09, 81.46, 26.65],
        [71.51, 100., 100.],
        None,
    ),
    row(
        "ld-1/4",
        [60.34, 78.29, 48.14, 24.75, 17.40],
        [45.78, 30., 35.],
        None,
    ),
    row(
        "ld-1/2",
        [63.90, 80.64, 52.87, 39.09, 19.69],
        [51.24, 54., 56.],
        None,
    ),
    row(
        "ld-3/4",
        [81.41, 86.05, 63.97, 59.87, 22.51],
        [62.76, 77., 77.],
        None,
    ),
    row(
        "fr-1/4",
        [78.18, 85.19, 66.68, 62.90, 22.46],
        [63.08, 58., 72.],
        None,
    ),
    row(
        "fr-1/2",
        [82.62, 86.45, 72.65, 74.59, 24.61],
        [68.19, 72., 81.],
        None,
    ),
    row(
        "fr-3/4",
        [84.93, 86.77, 74.73, 79.52, 26.12],
        [70.41, 86., 91.],
        None,
    ),
    row(
        "cr-1/4",
        [62.53, 78.38, 48.62, 23.99, 16.49],
        [46.00, 20., 28.],
        None,
    ),
    row(
        "cr-1/2",
        [64.09, 78.91, 50.90, 29.50, 18.88],
        [48.45, 40., 47.],
        None,
    ),
    row(
        "cr-3/4",
        [80.63, 86.32, 63.42, 58.97, 22.18],
        [62.30, 66., 71.],
        None,
    ),
    row(
        "fpt-ld",
        [85.72, 86.51, 75.89, 80.23, 26.27],
        [70.92, 72., 74.],
        Some(0.11),
    ),
    row(
        "fpt-fr",
        [86.49, 87.11, 76.26, 81.07, 26.55],
        [71.50, 83., 89.],
        Some(0.49),
    ),
    row(
        "fpt-cr",
        [85.13, 86.40, 75.63, 81.00, 26.21],
        [70.87, 65., 70.],
        Some(0.38),
    ),
];
