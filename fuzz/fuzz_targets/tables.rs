//! The tables of MNLI, QQP and XSum, and XSum's JSON lines: read, checked, scored, handed in.
#![no_main]

use fpt_fuzz::read_task;
use fpt_tasks::{Mnli, Qqp, Xsum};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&format, bytes)) = bytes.split_first() else {
        return;
    };
    match format % 4 {
        0 => read_task(&Mnli, "train.tsv", bytes),
        1 => read_task(&Qqp, "train.tsv", bytes),
        2 => read_task(&Xsum, "xsum_train.tsv", bytes),
        _ => read_task(&Xsum, "train.jsonl", bytes),
    }
});
