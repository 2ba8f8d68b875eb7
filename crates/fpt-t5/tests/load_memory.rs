//! What loading holds in memory at its worst moment is the model in its precision, not one in f32 too.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::Device;
use fpt_t5::{Precision, SaveOptions, T5, T5Config};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What is read at a time, in all of its forms, and what is no tensor.
const BESIDES: usize = 1 << 20;

/// One test, since the allocator counts for the whole process.
#[test]
fn memory_peaks_at_the_model_that_is_loaded() {
    let device = Device::flex();
    for tied in [false, true] {
        let config = serde_json::json!({
            "vocab_size": 6000, "d_model": 256, "d_kv": 32, "d_ff": 512, "num_heads": 8, "num_layers": 2,
            "feed_forward_proj": "gated-gelu", "tie_word_embeddings": tied,
        });
        let config: T5Config = serde_json::from_value(config).unwrap();
        let model = T5::init(&config, &device).materialize();
        let parameters = model.num_params();
        // A head that is tied is one of its own in int8.
        let head = if tied { 6000 * 256 } else { 0 };
        let directories = [false, true].map(|bf16| {
            let directory = tempfile::tempdir().unwrap();
            let options = SaveOptions {
                bf16,
                ..SaveOptions::default()
            };
            model.save_pretrained(directory.path(), options).unwrap();
            directory
        });
        drop(model);
        for (precision, expected) in [
            (Precision::F32, 4 * parameters),
            (Precision::Bf16, 2 * parameters),
            // The embedding is in bf16, and a scale is as large as 4 of 128 weights.
            (Precision::Int8, (parameters + head) * 33 / 32 + 6000 * 256),
        ] {
            for directory in &directories {
                let before = MEMORY.current_usage();
                MEMORY.reset_peak_usage();
                let model = T5::from_pretrained_in(directory.path(), precision, &device).unwrap();
                let (peak, kept) = (
                    MEMORY.peak_usage() - before,
                    MEMORY.current_usage() - before,
                );
                drop(model);
                let about = |bytes: usize| bytes..bytes + bytes / 50 + BESIDES;
                assert!(
                    about(kept).contains(&peak),
                    "{tied} {precision:?}: {peak}, {kept}"
                );
                assert!(
                    about(expected * 99 / 100).contains(&kept),
                    "{tied} {precision:?}: {kept}, {expected}"
                );
            }
        }
    }
}
