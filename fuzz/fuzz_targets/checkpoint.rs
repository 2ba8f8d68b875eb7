//! Checkpoints of a run: sealed, so that what is behind the seal is reached, or, by the first byte, as they are.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_files::seal;
use fpt_fuzz::{Scratch, named, told};
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

fuzz_target!(|bytes: &[u8]| {
    let Some((&sealed, bytes)) = bytes.split_first() else {
        return;
    };
    let path = if sealed & 1 == 0 {
        SCRATCH.write("step-1.fpt", seal("fpt-checkpoint", 1, bytes))
    } else {
        SCRATCH.write("step-1.fpt", bytes)
    };
    told(fuzzing::checkpoint(&path, &CONFIG, &Device::flex()));
});
