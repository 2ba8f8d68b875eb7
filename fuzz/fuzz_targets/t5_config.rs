//! `config.json` of a model: what is read comes back from what is written, and can be counted with.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named};
use fpt_partial::{Selection, full_size, shape};
use fpt_schedule::cost::{BatchShape, activation_bytes, parameters, true_macs, weight_bytes};
use fpt_schedule::memory::{StepSettings, peak};
use fpt_t5::T5Config;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("t5_config"));

fuzz_target!(|bytes: &[u8]| {
    let path = SCRATCH.write("config.json", bytes);
    let Some(config) = named(T5Config::from_file(&path), &path) else {
        return;
    };
    let again = SCRATCH.write("again.json", config.to_json());
    assert_eq!(
        named(T5Config::from_file(&again), &again).as_ref(),
        Some(&config)
    );
    let (shape, size) = (shape(&config), full_size(&config));
    let batch = BatchShape {
        rows: 1_000_000,
        source: 1 << 16,
        target: 1 << 16,
        prompt: 1 << 16,
    };
    assert!(parameters(&shape, &size) > 0 && weight_bytes(&shape, &size, 4) > 0);
    assert!(true_macs(&shape, &size, &batch).total() > 0);
    assert!(activation_bytes(&shape, &size, &batch) > 0);
    assert!(peak(&shape, &size, &batch, &StepSettings::default()).total() > 0);
    if size.encoder.layers * size.encoder.d_ff < 1 << 12
        && size.decoder.layers * size.decoder.d_ff < 1 << 12
    {
        assert!(Selection::full(&config).is_full(&config));
    }
});
