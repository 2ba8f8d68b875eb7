//! A finished run and the report of it: the first byte says which of its files is the input's.
#![no_main]

use std::sync::LazyLock;

use fpt_fuzz::{Scratch, named, told};
use fpt_report::Results;
use fpt_train::FinishedRun;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("run_directory"));
const RUN: &str = "mnli-pt-s0";
const FILES: [(&str, &[u8]); 3] = [
    (
        "config.toml",
        include_bytes!("../../crates/fpt-report/tests/runs/mnli-pt-s0/config.toml"),
    ),
    (
        "result.json",
        include_bytes!("../../crates/fpt-report/tests/runs/mnli-pt-s0/result.json"),
    ),
    (
        "metrics.jsonl",
        include_bytes!("../../crates/fpt-report/tests/runs/mnli-pt-s0/metrics.jsonl"),
    ),
];
/// Not in every directory; they lie in the run, or beside it.
const OTHERS: [&str; 5] = [
    "mnli-pt-s0/SHA256SUMS",
    "mnli-pt-s0/selections.json",
    "mnli-pt-s0/inputs.json",
    "similarity-mnli.json",
    "transfer-mnli.json",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    for (name, content) in FILES {
        SCRATCH.write(&format!("{RUN}/{name}"), content);
    }
    for name in OTHERS {
        SCRATCH.remove(name);
    }
    let which = usize::from(which) % (FILES.len() + OTHERS.len());
    match which.checked_sub(FILES.len()) {
        None => SCRATCH.write(&format!("{RUN}/{}", FILES[which].0), bytes),
        Some(other) => SCRATCH.write(OTHERS[other], bytes),
    };
    let directory = SCRATCH.path("");
    if let Some(run) = named(FinishedRun::read(directory.join(RUN)), &directory) {
        named(run.metrics(), &directory);
        named(run.selections(), &directory);
        named(run.inputs(), &directory);
    }
    if let Some(results) = told(Results::read(&directory)) {
        results.tables();
        if let Some(page) = told(results.page(&directory)) {
            told(page.to_html());
        }
    }
});
