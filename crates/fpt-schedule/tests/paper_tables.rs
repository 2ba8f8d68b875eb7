//! The FLOPs columns of Tables 1 and 2 of the paper.

#![allow(clippy::unwrap_used)]

use fpt_schedule::cost::paper_average;
use fpt_schedule::{Amount, Method, ModelShape, ScheduleConfig};

/// Model, steps, method, layers of the partial stages, and the paper's percentage.
type Cell = (&'static ModelShape, usize, &'static str, [usize; 3], f64);

const LARGE: &ModelShape = &ModelShape::T5_LARGE;
const XL: &ModelShape = &ModelShape::T5_XL;
const GROWING: [usize; 3] = [6, 12, 18];
const CONSTANT: [usize; 3] = [18, 18, 18];

const CELLS: [Cell; 15] = [
    (LARGE, 30_000, "ld-1/4", GROWING, 30.0),
    (LARGE, 30_000, "ld-1/2", GROWING, 54.0),
    (LARGE, 30_000, "ld-3/4", GROWING, 77.0),
    (LARGE, 30_000, "fr-1/4", GROWING, 58.0),
    (LARGE, 30_000, "fr-1/2", GROWING, 72.0),
    (LARGE, 30_000, "fr-3/4", GROWING, 86.0),
    (LARGE, 30_000, "cr-1/4", GROWING, 20.0),
    (LARGE, 30_000, "cr-1/2", GROWING, 40.0),
    (LARGE, 30_000, "cr-3/4", GROWING, 66.0),
    (LARGE, 30_000, "fpt-ld", GROWING, 72.0),
    (LARGE, 30_000, "fpt-fr", GROWING, 83.0),
    (LARGE, 30_000, "fpt-cr", GROWING, 65.0),
    (XL, 15_000, "fpt-ld", CONSTANT, 86.0),
    (XL, 15_000, "fpt-fr", CONSTANT, 84.0),
    (XL, 15_000, "fpt-cr", CONSTANT, 74.0),
];

fn percent((shape, steps, method, depth, _): Cell) -> f64 {
    let config = ScheduleConfig {
        depth: depth.map(Amount::Count).to_vec(),
        ..method.parse::<Method>().unwrap().into()
    };
    100.0 * paper_average(shape, &config, steps).unwrap()
}

#[test]
fn every_flops_figure_comes_out() {
    for cell in CELLS {
        let ours = percent(cell);
        assert!((ours - cell.4).abs() < 1.0, "{cell:?}: {ours:.2}");
    }
}

#[test]
fn prompt_tuning_is_the_whole() {
    for shape in [LARGE, XL] {
        assert_eq!(percent((shape, 30_000, "pt", GROWING, 100.0)), 100.0);
    }
}

#[test]
fn growing_depth_is_not_what_xl_was_run_with() {
    for (method, paper, ours) in [("fpt-ld", 86.0, 72.2), ("fpt-cr", 74.0, 65.3)] {
        let percent = percent((XL, 15_000, method, GROWING, paper));
        assert!((percent - ours).abs() < 0.1, "{method}: {percent:.2}");
        assert!((percent - paper).abs() > 8.0, "{method}: {percent:.2}");
    }
}
