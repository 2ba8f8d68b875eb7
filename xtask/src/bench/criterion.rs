//! The benchmarks of `benches/speed.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
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

/// Criterion's `sample.json`: how many iterations each measurement has, and nanoseconds of all of them.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
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
    let mut command = command();
    command
        .args(["--", "--noplot"])
        .args((!filters.is_empty()).then(|| any_of(filters)))
        .env("CRITERION_HOME", &home)
        .current_dir(std::env::current_dir()?)
        // Criterion's own lines are progress here.
        .stdout(Stdio::null());
    shell::call(&mut command)?;
    let mut benchmarks = Vec::new();
    for path in results(&home)? {
        let id: Id = read(path.join("benchmark.json"))?;
        let Estimates { median } = read(path.join("estimates.json"))?;
        let range = median.confidence_interval;
        benchmarks.push(Benchmark {
            name: id.full_id,
            median: median.point_estimate / 1e9,
            interval: [range.lower_bound / 1e9, range.upper_bound / 1e9],
        });
    }
    benchmarks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(benchmarks)
}

/// Builds and runs the benchmarks, with the profile and the packages of `cargo xtask`, so that nothing is built twice.
pub(super) fn command() -> Command {
    let mut command = shell::cargo();
    command
        .args(["bench", "--profile", "dev", "--bench", "speed"])
        .args(["--package", "xtask", "--package", "fpt"]);
    command
}

/// The seconds of an iteration, once for each measurement of the one benchmark that has run in `home`.
pub(super) fn sample(home: &Path) -> anyhow::Result<Vec<f64>> {
    let results = results(home)?;
    let [path] = results.as_slice() else {
        bail!(
            "criterion wrote results of {} benchmarks into {}, not of one",
            results.len(),
            home.display()
        );
    };
    let Sample { iters, times } = read(path.join("sample.json"))?;
    let seconds = times
        .iter()
        .zip(&iters)
        .map(|(time, iter)| time / iter / 1e9);
    let seconds: Vec<f64> = seconds.collect();
    ensure!(
        !seconds.is_empty() && seconds.iter().all(|it| it.is_finite() && *it > 0.0),
        "criterion measured no time in {}",
        path.display()
    );
    Ok(seconds)
}

/// The regular expression, which criterion takes, of names with one of the `filters` in them.
fn any_of(filters: &[String]) -> String {
    let escaped: Vec<_> = filters.iter().map(|filter| regex::escape(filter)).collect();
    escaped.join("|")
}

/// The directories below `home` that hold the results of the last run, one for each benchmark.
fn results(home: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(home).with_context(|| format!("criterion wrote no {}", home.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(results(&path)?);
        }
    }
    Ok(found)
}

fn read<T: for<'a> Deserialize<'a>>(path: PathBuf) -> anyhow::Result<T> {
    let text = fs::read_to_string(&path)
        .with_context(|| format!("criterion wrote no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("can't read {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_seconds_of_an_iteration() {
        let home = tempfile::tempdir().unwrap();
        assert!(sample(home.path()).is_err());
        let write = |directory: &str, text: &str| {
            let directory = home.path().join(directory);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("sample.json"), text).unwrap();
        };
        let text = r#"{"sampling_mode": "Linear", "iters": [1.0, 2.0], "times": [5e8, 3e9]}"#;
        write("data/batch/new", text);
        // What a run before would have left.
        write("data/batch/base", "{}");
        assert_eq!(sample(home.path()).unwrap(), [0.5, 1.5]);
        write("data/tokenize/new", text);
        assert!(sample(home.path()).is_err());
    }

    #[test]
    fn nothing_is_not_compared() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("step/new");
        fs::create_dir_all(&directory).unwrap();
        for text in [
            r#"{"iters": [], "times": []}"#,
            r#"{"iters": [1.0], "times": [0.0]}"#,
        ] {
            fs::write(directory.join("sample.json"), text).unwrap();
            assert!(sample(home.path()).is_err(), "{text}");
        }
    }
}
