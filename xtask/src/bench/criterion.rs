//! The benchmarks of `benches/speed.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::shell;

/// How long something takes.
#[derive(Serialize)]
pub(super) struct Benchmark {
    pub name: String,
    /// Median seconds.
    pub median: f64,
    /// Where the median lies with 95 % confidence.
    pub interval: [f64; 2],
}

/// Criterion's `benchmark.json`.
#[derive(Deserialize)]
struct Id {
    full_id: String,
}

/// Criterion's `estimates.json`, in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Run the benchmarks whose names contain one of the `filters`, or all.
pub(super) fn run(home: &Path, filters: &[String]) -> anyhow::Result<Vec<Benchmark>> {
    shell::remove(home)?;
    fs::create_dir_all(home).with_context(|| format!("failed to create {}", home.display()))?;
    let home = fs::canonicalize(home)?;
    let mut command = shell::cargo();
    // The profile and the packages of `cargo xtask`, so that nothing is built twice.
    command
        .args(["bench", "--profile", "dev", "--bench", "speed"])
        .args(["--package", "xtask", "--package", "fpt", "--", "--noplot"])
        .args((!filters.is_empty()).then(|| any_of(filters)))
        .env("CRITERION_HOME", &home)
        .current_dir(std::env::current_dir()?)
        // Criterion's own lines are progress here.
        .stdout(Stdio::null());
    shell::call(&mut command)?;
    let mut benchmarks = Vec::new();
    collect(&home, &mut benchmarks)?;
    benchmarks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(benchmarks)
}

/// The regular expression, which criterion takes, of names with one of the `filters` in them.
fn any_of(filters: &[String]) -> String {
    let escaped: Vec<_> = filters.iter().map(|filter| regex::escape(filter)).collect();
    escaped.join("|")
}

fn collect(directory: &Path, benchmarks: &mut Vec<Benchmark>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            let id: Id = read(path.join("benchmark.json"))?;
            let Estimates { median } = read(path.join("estimates.json"))?;
            let range = median.confidence_interval;
            benchmarks.push(Benchmark {
                name: id.full_id,
                median: median.point_estimate / 1e9,
                interval: [range.lower_bound / 1e9, range.upper_bound / 1e9],
            });
        } else if path.is_dir() {
            collect(&path, benchmarks)?;
        }
    }
    Ok(())
}

fn read<T: for<'a> Deserialize<'a>>(path: PathBuf) -> anyhow::Result<T> {
    let text = fs::read_to_string(&path)
        .with_context(|| format!("criterion wrote no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("can't read {}", path.display()))
}
