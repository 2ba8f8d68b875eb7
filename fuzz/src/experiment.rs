//! All that follows from an experiment before anything is read or computed.

use std::sync::LazyLock;

use fpt_partial::shape;
use fpt_schedule::ModelShape;
use fpt_schedule::cost::{self, BatchShape};
use fpt_schedule::memory::{StepSettings, peak};
use fpt_t5::T5Config;
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{Experiment, Plan, RunConfig};

use crate::told;

static MODELS: LazyLock<[ModelShape; 2]> = LazyLock::new(|| {
    [
        include_str!("../../datasets/mini-world/model/config.json"),
        include_str!("../../configs/models/t5-xl-lm-adapt.json"),
    ]
    .map(|text| shape(&serde_json::from_str::<T5Config>(text).expect("a configuration")))
});

/// The run of a task, its plan for a small and a large model, and what that costs.
///
/// # Panics
/// If a run does not come back from what is written of it, or costs no number.
pub fn plan(experiment: &Experiment, name: &TaskName, overrides: &[String]) {
    let Some(config) = told(experiment.run(name, 0, overrides)) else {
        return;
    };
    let text = toml::to_string(&config).expect("a run can be written");
    let again: RunConfig = toml::from_str(&text).expect("what was written can be read");
    assert_eq!(again, config);
    let Some(task) = told(config.task(&Tasks::paper())) else {
        return;
    };
    for shape in &*MODELS {
        let Some(plan) = told(Plan::new(&config, &*task, shape)) else {
            continue;
        };
        let batch = &plan.largest_batch;
        let share = cost::true_share(shape, &plan.schedule, batch);
        let linear = cost::paper_share(shape, &plan.schedule, plan.limits.max_target);
        assert!(share.is_finite() && linear.is_finite(), "{share} {linear}");
        for stage in plan.schedule.stages() {
            let batch = batch.cut(stage.max_source);
            let row = BatchShape { rows: 1, ..batch };
            assert!(cost::true_macs(shape, &stage.size, &row).total() > 0);
            cost::weight_bytes(shape, &stage.size, config.precision.bytes());
            cost::activation_bytes(shape, &stage.size, &batch);
            let settings = StepSettings {
                accumulate: config.train.accumulate,
                ..StepSettings::default()
            };
            assert!(peak(shape, &stage.size, &batch, &settings).total() > 0);
        }
    }
}
