//! The recipe of a pre-training, and what its steps ask of it.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named};
use fpt_pretrain::PretrainConfig;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("pretrain_config"));

fuzz_target!(|text: &str| {
    let path = SCRATCH.write("pretrain.toml", text);
    let Some(config) = named(PretrainConfig::from_file(&path), &path) else {
        return;
    };
    for step in [0, 1, config.steps / 2, config.steps - 1] {
        config.rate(step);
        config.curriculum.at(step as f64 / config.steps as f64);
    }
    config.model_config(1 << 15);
});
