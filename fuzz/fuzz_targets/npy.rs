//! Prompts in NumPy's format.
#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use fpt_fuzz::{Scratch, named};
use fpt_prompt::load_npy;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("npy"));
/// That of the seeds.
const D_MODEL: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let path = SCRATCH.write("prompt.npy", bytes);
    if let Some(prompt) = named(load_npy(&path, D_MODEL, &Device::flex()), &path) {
        let [length, width] = prompt.shape();
        assert!(length > 0 && width == D_MODEL);
        assert!(prompt.values().iter().all(|value| value.is_finite()));
    }
});
