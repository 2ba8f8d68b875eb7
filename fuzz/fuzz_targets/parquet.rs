//! XSum in Parquet. What the decoder panics at is caught by its reader.
#![no_main]

use fpt_fuzz::{let_panics_be_caught, read_task};
use fpt_tasks::Xsum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: let_panics_be_caught(),
    |bytes: &[u8]| read_task(&Xsum, "train.parquet", bytes)
);
