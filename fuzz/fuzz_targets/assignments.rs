//! `--set key=value`, one a line, over configs/mini.toml.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named, plan};
use fpt_tasks::TaskName;
use fpt_train::Experiment;
use libfuzzer_sys::fuzz_target;

static EXPERIMENT: LazyLock<Experiment> = LazyLock::new(|| {
    let path =
        Scratch::new("assignments").write("mini.toml", include_bytes!("../../configs/mini.toml"));
    named(Experiment::from_file(&path), &path).expect("an experiment")
});

fuzz_target!(|text: &str| {
    let overrides: Vec<_> = text.lines().map(str::to_owned).collect();
    plan(&EXPERIMENT, &TaskName::MNLI, &overrides);
});
