//! How runs compute, as the prices of memory ask for it.

use fpt_schedule::memory::{Layout, Numbers, PeakBytes, Recompute, StepSettings, peak};
use fpt_t5::Precision;
use fpt_train::{Plan, RunConfig};

/// Weights in this precision, as they are priced.
pub fn numbers(precision: Precision) -> Numbers {
    match precision {
        Precision::F32 => Numbers::F32,
        Precision::Int8 => Numbers::Int8,
        _ => Numbers::Bf16,
    }
}

/// How a run computes its steps, on a processor or else on a GPU.
pub fn settings(config: &RunConfig, on_processor: bool) -> StepSettings {
    StepSettings {
        precision: numbers(config.precision),
        recompute: priced(config.train.recompute),
        accumulate: config.train.accumulate,
        layout: layout(on_processor),
    }
}

/// How a processor, or else a GPU, lays activations out.
pub fn layout(on_processor: bool) -> Layout {
    if on_processor {
        Layout::Processor
    } else {
        Layout::Gpu
    }
}

/// What a model computes again, as it is priced.
pub fn priced(of_model: fpt_t5::Recompute) -> Recompute {
    match of_model {
        fpt_t5::Recompute::Attention => Recompute::Attention,
        fpt_t5::Recompute::Layers => Recompute::Layers,
        _ => Recompute::None,
    }
}

/// The peak of the steps of each stage of `plan`, on its largest batch.
pub fn peaks(plan: &Plan, settings: &StepSettings) -> Vec<PeakBytes> {
    let stages = plan.schedule.stages().iter();
    let batch = &plan.largest_batch;
    stages
        .map(|stage| peak(&plan.shape, &stage.size, &batch.of_stage(stage), settings))
        .collect()
}
