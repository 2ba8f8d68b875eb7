//! Experiment files, and all that follows from one before anything is read or computed: runs, plans, prices, memory.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named, plan};
use fpt_tasks::TaskName;
use fpt_train::Experiment;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("experiment"));

fuzz_target!(|text: &str| {
    let path = SCRATCH.write("experiment.toml", text);
    let Some(experiment) = named(Experiment::from_file(&path), &path) else {
        return;
    };
    for task in TaskName::PAPER {
        plan(&experiment, &task, &[]);
    }
    experiment.methods.all();
});
