//! A model of one layer: the first byte says whether its weights, in safetensors or PyTorch's form, their index, a shard,
//! or its `config.json` are the input's, and in which precision it is read.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_fuzz::{Scratch, named};
use fpt_t5::{Precision, T5, T5Config};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("weights"));
static CONFIG: LazyLock<T5Config> = LazyLock::new(|| {
    let path = SCRATCH.write("config.json", include_bytes!("../seeds/config.json"));
    named(T5Config::from_file(&path), &path).expect("a configuration")
});
/// The seeds, after their first byte.
const WHOLE: &[u8] = include_bytes!("../seeds/weights/safetensors");
const INDEX: &[u8] = include_bytes!("../seeds/weights/index");

fuzz_target!(|bytes: &[u8]| {
    let config = LazyLock::force(&CONFIG);
    let Some((&form, bytes)) = bytes.split_first() else {
        return;
    };
    let directory = SCRATCH.path("");
    let precision = match form / 5 % 3 {
        0 => Precision::F32,
        1 => Precision::Bf16,
        _ => Precision::Int8,
    };
    let path = match form % 5 {
        0 => SCRATCH.write("model.safetensors", bytes),
        1 => SCRATCH.write("pytorch_model.bin", bytes),
        // An index of files that are there, as far as it names those.
        2 => {
            SCRATCH.write("a.safetensors", WHOLE.split_at(1).1);
            SCRATCH.write("model.safetensors.index.json", bytes)
        }
        3 => {
            SCRATCH.write("a.safetensors", bytes);
            SCRATCH.write("model.safetensors.index.json", INDEX.split_at(1).1)
        }
        _ => {
            SCRATCH.write("model.safetensors", WHOLE.split_at(1).1);
            SCRATCH.write("config.json", bytes);
            let model = T5::from_pretrained_in(&directory, precision, &Device::flex());
            named(model, &directory);
            return;
        }
    };
    let model = T5::from_weights(config, &path, precision, &Device::flex());
    named(model, &directory);
});
