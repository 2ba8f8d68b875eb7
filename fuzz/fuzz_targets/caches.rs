//! What is kept for other runs, behind its seal: tokens, or, by the first byte, scores of a model's parts.
#![no_main]

use fpt_fuzz::told;
use fpt_t5::T5Config;
use fpt_train::fuzzing;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CONFIG: LazyLock<T5Config> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../seeds/config.json")).expect("a configuration")
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    if which & 1 == 0 {
        if let Some(tokens) = told(fuzzing::tokens(bytes, 3, 100)) {
            assert_eq!(tokens.len(), 3);
        }
    } else {
        told(fuzzing::scores(bytes, &CONFIG));
    }
});
