//! Checkpoints of a pre-training, behind their seal: some bytes, or, by the first one, one that was written, with bytes
//! changed or cut off.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_fuzz::{Scratch, let_panics_be_caught, named, told};
use fpt_pretrain::{PretrainConfig, fuzzing};
use fpt_t5::{T5, T5Config};
use libfuzzer_sys::fuzz_target;

static CONFIG: LazyLock<PretrainConfig> = LazyLock::new(|| {
    let scratch = Scratch::new("pretrain_state");
    let recipe = include_bytes!("../../configs/pretrain-mini.toml");
    let path = scratch.write("pretrain.toml", recipe);
    named(PretrainConfig::from_file(&path), &path).expect("a recipe")
});
static MODEL: LazyLock<T5> = LazyLock::new(|| {
    let config: T5Config =
        serde_json::from_str(include_str!("../seeds/config.json")).expect("a configuration");
    T5::init(&config, &Device::flex())
});
static WRITTEN: LazyLock<Vec<u8>> =
    LazyLock::new(|| told(fuzzing::written(&CONFIG, MODEL.clone())).expect("a checkpoint"));

fuzz_target!(init: let_panics_be_caught(), |bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    if which & 1 == 0 {
        told(fuzzing::read(bytes, &CONFIG, MODEL.clone()));
        return;
    }
    let mut content = WRITTEN.clone();
    let place = |at: &[u8]| u16::from_le_bytes([at[0], at[1]]) as usize % WRITTEN.len();
    for edit in bytes.chunks_exact(3) {
        content[place(edit)] ^= edit[2];
    }
    // What is left over says where to cut.
    if let [low, high] = bytes.chunks_exact(3).remainder() {
        content.truncate(place(&[*low, *high]));
    }
    told(fuzzing::read(&content, &CONFIG, MODEL.clone()));
});
