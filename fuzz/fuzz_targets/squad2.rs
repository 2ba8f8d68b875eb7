//! SQuAD 2.0's JSON: read, checked, scored, handed in.
#![no_main]

use fpt_fuzz::read_task;
use fpt_tasks::Squad2;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read_task(&Squad2, "train-v2.0.json", bytes));
