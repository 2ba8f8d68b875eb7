//! How long `fpt predict` takes from its start to the answer to one text.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;

use super::criterion::Benchmark;
use super::stats::{median, quartiles};
use super::work::EXPERIMENT;
use crate::shell;

pub(super) const NAME: &str = "startup/fpt predict, mini, one answer";
const RUNS: usize = 11;

/// Median and quartiles of several runs of the whole program.
pub(super) fn measure() -> anyhow::Result<Benchmark> {
    let fpt = shell::build_fpt()?;
    let experiment = fpt_train::Experiment::from_file(EXPERIMENT)?;
    let input = std::path::Path::new("target/bench/one.txt");
    fpt_files::write(
        input,
        "mnli hypothesis: the cat sleeps premise: the cat is asleep\n",
    )?;
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let output = Command::new(&fpt)
            .args(["predict", "--model"])
            .arg(&experiment.model)
            .arg("--input")
            .arg(input)
            // Cargo sets it; where it is missing, the program starts itself anew.
            .env_remove("MIMALLOC_PURGE_DELAY")
            .stderr(Stdio::null())
            .output()?;
        seconds.push(start.elapsed().as_secs_f64());
        ensure!(output.status.success(), "fpt predict failed");
    }
    Ok(Benchmark {
        name: NAME.into(),
        median: median(&seconds),
        interval: quartiles(&seconds),
    })
}
