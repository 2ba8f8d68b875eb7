//! Learning rates against transformers' schedules, on the fixture of `tests/rates/make_fixture.py`.
#![allow(clippy::unwrap_used)]

use fpt_train::{RateSchedule, TrainConfig};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    schedule: RateSchedule,
    steps: usize,
    warmup: usize,
    factors: Vec<f64>,
}

fn config(settings: serde_json::Value) -> TrainConfig {
    let mut config = json!({
        "steps": 10, "batch_size": 1, "learning_rate": 0.5, "weight_decay": 0.0, "gradient_clip": 1.0,
    });
    let all = config.as_object_mut().unwrap();
    all.extend(settings.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

#[test]
fn rates_equal_transformers() {
    let fixture: Fixture = serde_json::from_str(include_str!("rates/rates.json")).unwrap();
    assert_eq!(fixture.cases.len(), 16);
    for case in &fixture.cases {
        let config = config(json!({ "schedule": case.schedule, "warmup": case.warmup }));
        for (step, &theirs) in case.factors.iter().enumerate() {
            let ours = config.rate(step, case.steps, &(0..case.steps)) / config.learning_rate;
            // Our warm-up is a step ahead of theirs, whose first step moves nothing.
            let theirs = if step < case.warmup {
                theirs + 1.0 / case.warmup as f64
            } else {
                theirs
            };
            let what = format!("{:?} of {}, step {step}", case.schedule, case.steps);
            assert!((ours - theirs).abs() < 1e-12, "{what}: {ours} {theirs}");
        }
    }
}

#[test]
fn an_expansion_has_a_warm_up_of_its_own() {
    let config = config(json!({ "warmup": 2, "stage_warmup": 4 }));
    let rate = |step: usize, stage| config.rate(step, 10, &stage) / config.learning_rate;
    let first: Vec<f64> = (0..3).map(|step| rate(step, 0..3)).collect();
    assert_eq!(first, [0.5, 1.0, 1.0]);
    let second: Vec<f64> = (3..10).map(|step| rate(step, 3..10)).collect();
    assert_eq!(second, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn the_paper_has_a_constant_rate() {
    let config = config(json!({}));
    assert_eq!(config.schedule, RateSchedule::Constant);
    assert!((0..9).all(|step| config.rate(step, 9, &(5..9)) == 0.5));
}
