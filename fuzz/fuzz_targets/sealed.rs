//! Files that tell whether they are whole.
#![no_main]

use fpt_files::{seal, unseal};
use libfuzzer_sys::fuzz_target;

const KIND: &str = "fpt-checkpoint";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = unseal(KIND, bytes) {
        assert_eq!(seal(KIND, found.version, found.content), bytes);
    }
    let sealed = seal(KIND, 1, bytes);
    assert_eq!(unseal(KIND, &sealed).map(|found| found.content), Ok(bytes));
});
