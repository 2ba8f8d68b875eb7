//! `cargo xtask bench --against`: the benchmarks of this tree and of another revision, in turns.

mod checkout;
mod judge;
mod program;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fpt::terminal;
use serde::Serialize;

use self::checkout::Checkout;
use self::judge::{Comparison, Round, Verdict};
use self::program::Program;
use super::{named, write};
use crate::shell;

/// Where everything of this lies; what is built stays there.
const DIRECTORY: &str = "target/bench/against";

/// What is wanted.
pub(super) struct Options<'a> {
    pub revision: &'a str,
    pub rounds: usize,
    pub filters: &'a [String],
}

/// What came out.
#[derive(Serialize)]
pub(super) struct Report {
    cpu: String,
    cores: usize,
    /// As it was asked for.
    against: String,
    base: String,
    /// Of this program, which is built together with the benchmarks.
    now: &'static str,
    rounds: usize,
    benchmarks: Vec<Comparison>,
    /// Benchmarks that only this tree has.
    new: Vec<String>,
    /// Those that only the other revision has.
    gone: Vec<String>,
}

impl Report {
    /// How many benchmarks became slower, beyond noise.
    pub(super) fn regressions(&self) -> usize {
        let slower = |row: &&Comparison| row.verdict == Verdict::Regression;
        self.benchmarks.iter().filter(slower).count()
    }

    pub(super) fn table(&self) -> String {
        table::of(self)
    }
}

/// Build both sides, and run their benchmarks in turns. Leaves `comparison.json`, with every sample, in [`DIRECTORY`].
pub(super) fn run(options: &Options<'_>) -> anyhow::Result<Report> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to create {}", directory.display()))?;
    let directory = fs::canonicalize(directory)
        .with_context(|| format!("failed to find {}", directory.display()))?;
    let base = Checkout::of(options.revision, Path::new("."), &directory)?;
    let sides = [
        Program::of_checkout(&base, &directory.join("target"))?,
        Program::of_this_tree()?,
    ];
    let names = Names::of(&sides, options.filters)?;
    let benchmarks = in_turns(&sides, &names.both, options.rounds, &directory)?;
    let report = Report {
        cpu: write::cpu(),
        cores: write::cores(),
        against: options.revision.into(),
        base: base.commit,
        now: fpt::revision(),
        rounds: options.rounds,
        benchmarks,
        new: names.new,
        gone: names.gone,
    };
    let path = directory.join("comparison.json");
    fpt_files::write(&path, serde_json::to_string_pretty(&report)?)?;
    terminal::note(&format!("written to {}", path.display()));
    Ok(report)
}

/// Which side has which benchmark, in the order in which they run.
#[derive(Debug, PartialEq)]
struct Names {
    both: Vec<String>,
    new: Vec<String>,
    gone: Vec<String>,
}

impl Names {
    fn of([base, now]: &[Program; 2], filters: &[String]) -> anyhow::Result<Self> {
        let names = Self::divide(base.list()?, now.list()?, filters);
        ensure!(
            !(names.both.is_empty() && names.new.is_empty() && names.gone.is_empty()),
            "no benchmark has {} in its name; without such parts of names, all are compared",
            filters.join(" or ")
        );
        Ok(names)
    }

    fn divide(base: Vec<String>, now: Vec<String>, filters: &[String]) -> Self {
        let wanted = |names: Vec<String>| names.into_iter().filter(|name| named(name, filters));
        let base: Vec<String> = wanted(base).collect();
        let (both, new): (Vec<_>, Vec<_>) = wanted(now).partition(|name| base.contains(name));
        let gone = base.into_iter().filter(|name| !both.contains(name));
        Self {
            gone: gone.collect(),
            both,
            new,
        }
    }
}

/// Time each benchmark with both programs in every round, in the order A B, B A, A B, ...: a machine that becomes slower or
/// faster meanwhile does so for both.
fn in_turns(
    [base, now]: &[Program; 2],
    names: &[String],
    rounds: usize,
    directory: &Path,
) -> anyhow::Result<Vec<Comparison>> {
    let samples = directory.join("criterion");
    shell::remove(&samples)?;
    terminal::note(&format!(
        "to compare: {}, in {rounds} rounds of both sides",
        names.len()
    ));
    let start = Instant::now();
    let mut comparisons = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut measured = Vec::new();
        for round in 0..rounds {
            // A directory for each process: criterion would compare with what it finds there.
            let home = |side: &str| -> PathBuf {
                samples
                    .join(format!("{number}"))
                    .join(format!("{round}-{side}"))
            };
            let time_base = || base.sample(name, &home("base"));
            let time_now = || now.sample(name, &home("now"));
            measured.push(if round % 2 == 0 {
                let base = time_base()?;
                let now = time_now()?;
                Round { base, now }
            } else {
                let now = time_now()?;
                let base = time_base()?;
                Round { base, now }
            });
        }
        let comparison = Comparison::of(name, measured);
        let done = number + 1;
        terminal::note(&format!(
            "{}; {}",
            table::line(&comparison),
            left(start.elapsed(), done, names.len())
        ));
        comparisons.push(comparison);
    }
    Ok(comparisons)
}

/// What is left to do of `all`, and for how long, if the rest takes as long as what is done.
fn left(elapsed: Duration, done: usize, all: usize) -> String {
    let remaining = all.saturating_sub(done);
    if remaining == 0 {
        return "all done".into();
    }
    let seconds = elapsed.as_secs_f64() / done as f64 * remaining as f64;
    let time = humantime::format_duration(Duration::from_secs(seconds.round() as u64));
    format!("{remaining} left, ETA {time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_have_is_compared() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let base = || names(&["data/read", "data/old", "step"]);
        let now = || names(&["step", "data/read", "data/fresh"]);
        let all = Names {
            both: names(&["step", "data/read"]),
            new: names(&["data/fresh"]),
            gone: names(&["data/old"]),
        };
        assert_eq!(Names::divide(base(), now(), &[]), all);
        let some = Names {
            both: names(&["data/read"]),
            new: Vec::new(),
            gone: Vec::new(),
        };
        assert_eq!(Names::divide(base(), now(), &["read".into()]), some);
    }

    #[test]
    fn the_rest_takes_as_long_as_what_is_done() {
        assert_eq!(left(Duration::from_secs(60), 2, 5), "3 left, ETA 1m 30s");
        assert_eq!(left(Duration::from_secs(60), 5, 5), "all done");
    }
}
