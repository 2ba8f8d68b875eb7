//! Checkpoints of a run, behind their seal.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_fuzz::{Scratch, let_panics_be_caught, named, told};
use fpt_tasks::TaskName;
use fpt_train::{Experiment, TrainConfig, fuzzing};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("checkpoint"));
static CONFIG: LazyLock<TrainConfig> = LazyLock::new(|| {
    let path = SCRATCH.write("mini.toml", include_bytes!("../../configs/mini.toml"));
    let experiment = named(Experiment::from_file(&path), &path).expect("an experiment");
    told(experiment.run(&TaskName::MNLI, 0, &[]))
        .expect("a run")
        .train
});

fuzz_target!(init: let_panics_be_caught(), |content: &[u8]| {
    told(fuzzing::checkpoint(content, &CONFIG, &Device::flex()));
});
