//! `cargo xtask bench`: how fast this is, and how fast beside PyTorch and CTranslate2.

mod against;
mod criterion;
mod large;
mod peer;
mod relations;
mod startup;
pub(crate) mod stats;
mod tables;
mod texts;
pub mod work;
mod worker;
mod write;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::{generate, terminal};
use fpt_train::Experiment;
use serde::Serialize;

use peer::Peer;
pub use worker::{Args as WorkerArgs, run as run_worker};

/// Time training, evaluation, generation, expansion, loading, tokenizing and batching.
///
/// Prints a table and writes README.md and raw.csv into a directory named after the date, the processor and --name. With
/// --peer, both programs then do the same work in turns, with one thread and with two (`--threads`); a ratio below 1 means that
/// fpt is faster. Nothing else should run beside it.
///
/// With --against, the benchmarks of this tree and of another revision run in turns instead, each in several processes, and
/// the exit status is 1 if one has become slower beyond noise. Building the other revision takes as long as the first build
/// did, once: its dependencies are kept in target/bench/against.
#[derive(ClapArgs)]
pub struct Args {
    /// Compare with this program; it needs Python 3 and, the first time, the network.
    #[arg(long, value_enum)]
    peer: Option<Peer>,

    /// Compare with the benchmarks of this revision, such as main, and fail if one has become slower here: its median by
    /// more than 10 %, and by more than 5 % as far as noise lets it be told. With four rounds a benchmark takes about a
    /// minute, and all take some 20 to 30. The machine must be quiet: what comes and goes meanwhile widens the intervals
    /// until nothing can be told.
    #[arg(
        long,
        value_name = "REVISION",
        conflicts_with_all = ["peer", "alternations", "threads", "python", "out", "name"],
    )]
    against: Option<String>,

    /// How often both revisions run each benchmark; more narrow the interval.
    #[arg(
        long,
        requires = "against",
        default_value = "4",
        value_parser = clap::value_parser!(u8).range(2..),
    )]
    rounds: u8,

    /// Leave the criterion benchmarks out, and only compare.
    #[arg(long, requires = "peer")]
    only_peer: bool,

    /// Only what has one of these in its name, such as train_step/mini, or answer/batch-8-greedy-int8-int8 of the
    /// comparison with CTranslate2 (texts of a batch, search, our weights, its weights).
    filters: Vec<String>,

    /// Turns of each program in a comparison; two where one takes minutes.
    #[arg(long, default_value = "11")]
    alternations: NonZeroUsize,

    /// Threads of each program in a comparison.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<NonZeroUsize>,

    /// Interpreter that has torch, transformers and safetensors, and datasets or ctranslate2 for that comparison; by
    /// default a virtual environment is made in target/bench, and kept.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Directory for the results.
    #[arg(long, default_value = "benches/results")]
    out: PathBuf,

    /// Added to the name of the results, which would otherwise replace those of the same day.
    #[arg(long, value_parser = suffix)]
    name: Option<String>,

    /// Print the result as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Run the benchmarks and comparisons that are asked for, and write and print what they took. Returns whether none has
/// become slower than it was at the revision that it is compared with.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let experiment = Experiment::from_file(work::EXPERIMENT)?;
    generate::ensure(&experiment)?;
    if let Some(revision) = &args.against {
        return compare(args, revision);
    }
    let scratch = PathBuf::from("target/bench");
    let worker = scratch.join("worker");
    keep_this_program(&worker)?;
    let (mut report, mut failure) = (write::Report::new(), None);
    if !args.only_peer {
        report.benchmarks = criterion::run(&scratch.join("criterion"), &args.filters)?;
        if named(startup::NAME, &args.filters) {
            report.benchmarks.push(startup::measure()?);
        }
        report.relations = relations::of(&report.benchmarks)?;
    }
    if let Some(peer) = args.peer {
        let options = peer::Options {
            peer,
            out: &scratch,
            worker: &worker,
            python: args.python.as_deref(),
            alternations: args.alternations.get(),
            threads: &args.threads,
            filters: &args.filters,
        };
        let results = peer::compare(&options)?;
        (report.comparisons, report.timings) = (results.rows, results.timings);
        failure = results.failure;
    }
    let directory = report.write(&args.out, args.name.as_deref())?;
    terminal::note(&format!("written to {}", directory.display()));
    print(&report, &report.tables(), args.json)?;
    failure.map_or(Ok(true), Err)
}

/// Compare with another revision.
fn compare(args: &Args, revision: &str) -> anyhow::Result<bool> {
    let report = against::run(&against::Options {
        revision,
        rounds: args.rounds.into(),
        filters: &args.filters,
    })?;
    print(&report, &report.table(), args.json)?;
    let regressions = report.regressions();
    if regressions > 0 {
        terminal::note(&format!("slower than at {revision}: {regressions}"));
    }
    Ok(regressions == 0)
}

fn print(report: &impl Serialize, tables: &str, json: bool) -> anyhow::Result<()> {
    if json {
        terminal::print_line(&serde_json::to_string_pretty(report)?)
    } else {
        terminal::print_line(tables.trim_end())
    }
}

/// A part of a directory's name.
fn suffix(name: &str) -> Result<String, &'static str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.chars().all(part) && !name.is_empty() {
        Ok(name.to_string())
    } else {
        Err("a name has letters, digits, '-', '_' and '.'")
    }
}

/// Whether a name has one of the filters in it, or there are none.
fn named(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
}

/// A copy of this program, which Cargo may build anew, and so remove, while it runs.
fn keep_this_program(copy: &Path) -> anyhow::Result<()> {
    let me = std::env::current_exe().context("failed to find this program")?;
    if let Some(directory) = copy.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
    }
    std::fs::copy(&me, copy).with_context(|| format!("failed to write {}", copy.display()))?;
    Ok(())
}
