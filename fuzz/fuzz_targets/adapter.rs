//! PEFT adapters: the first byte says which of the two files are the input's.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_fuzz::{Scratch, named};
use fpt_prompt::load_adapter;
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = "adapter_config.json";
const SAFETENSORS: &str = "adapter_model.safetensors";
const PYTORCH: &str = "adapter_model.bin";
/// That of the seeds.
const D_MODEL: usize = 8;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("adapter"));

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    SCRATCH.remove(SAFETENSORS);
    SCRATCH.remove(PYTORCH);
    let whole =
        include_bytes!("../../crates/fpt-prompt/tests/peft/written_by_peft_1/adapter_config.json");
    let (config, weights) = match which % 4 {
        // Both, the configuration up to a zero byte.
        0 => {
            let end = bytes.iter().position(|&byte| byte == 0);
            bytes.split_at(end.unwrap_or(bytes.len()))
        }
        1 => {
            let weights = include_bytes!(
                "../../crates/fpt-prompt/tests/peft/written_by_peft_1/adapter_model.safetensors"
            );
            (bytes, &weights[..])
        }
        _ => (&whole[..], bytes),
    };
    SCRATCH.write(CONFIG, config);
    SCRATCH.write(if which % 4 == 3 { PYTORCH } else { SAFETENSORS }, weights);
    let directory = SCRATCH.path("");
    if let Some(prompt) = named(
        load_adapter(&directory, D_MODEL, &Device::flex()),
        &directory,
    ) {
        let [length, width] = prompt.shape();
        assert!(length > 0 && width == D_MODEL);
        assert!(prompt.values().iter().all(|value| value.is_finite()));
    }
});
