//! ReCoRD's JSON lines: read, checked, scored, handed in.
#![no_main]

use fpt_fuzz::read_task;
use fpt_tasks::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read_task(&Record, "train.jsonl", bytes));
