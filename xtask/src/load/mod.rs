//! `cargo xtask load`: many runs, long runs, and what checkpoints cost.

mod checkpoints;
mod grid;
mod long;
mod processes;
mod scene;
mod submission;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args as ClapArgs;
use fpt::terminal;
use serde::Serialize;

use crate::shell;
use scene::Scene;

/// Hold a large grid and a long run against their limits.
///
/// A grid of tiny runs, one process each: `cargo xtask reproduce` itself stays below 100 MB, and whichever way it is
/// stopped, no process of it is left; and submitting it to a cluster takes less than 10 s, and as little memory. A run of many steps: its memory is the same in the last tenth as in the second, to
/// 5 % or the 2 MiB that the allocator takes at a time. Exit status 1 if something of that does not hold. Linux only, which tells of processes in files.
///
/// With --checkpoint-cost, only that: the time of a run with checkpoints by that of one without, in turns.
#[derive(ClapArgs)]
pub struct Args {
    /// Runs of the grid; 0 for no grid.
    #[arg(long, default_value_t = 500)]
    runs: usize,

    /// Optimizer steps of the long run; 0 for none.
    #[arg(long, default_value_t = 200_000)]
    steps: usize,

    /// Turns of runs with checkpoints and without. Nothing else should run beside them.
    #[arg(long, value_name = "TURNS")]
    checkpoint_cost: Option<NonZeroUsize>,

    /// With --checkpoint-cost: steps between checkpoints.
    #[arg(
        long,
        value_name = "STEPS",
        default_value = "20",
        requires = "checkpoint_cost"
    )]
    checkpoint_steps: NonZeroUsize,

    /// With --checkpoint-cost: experiment file.
    #[arg(
        long,
        default_value = "configs/mini.toml",
        requires = "checkpoint_cost"
    )]
    config: PathBuf,

    /// Directory to work in, which must not exist; by default one for temporary files that is removed.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Outcome {
    /// What the programs were built from.
    revision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<submission::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<grid::Outcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stops: Vec<grid::Stop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    long: Option<long::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<checkpoints::Outcome>,
}

/// So long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// Do what is asked for, and tell what came of it.
///
/// # Errors
/// If a limit is not kept, or something could not be measured.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir().context("no directory for temporary files")?;
    let place = args
        .out
        .clone()
        .unwrap_or_else(|| temporary.path().join("load"));
    std::fs::create_dir_all(&place)
        .with_context(|| format!("failed to create {}", place.display()))?;
    // Command lines are looked through for it.
    let place = std::fs::canonicalize(&place)?;
    let fpt = shell::build_fpt()?;
    let mut outcome = Outcome {
        revision: fpt::revision(),
        submission: None,
        grid: None,
        stops: Vec::new(),
        long: None,
        checkpoints: None,
    };
    if let Some(turns) = args.checkpoint_cost {
        let every = args.checkpoint_steps;
        let measured = checkpoints::measure(&fpt, &args.config, turns, every, &place)?;
        outcome.checkpoints = Some(measured);
    } else {
        let scene = Scene::new(&place)?;
        if args.runs > 0 {
            outcome.submission = Some(submission::measure(&scene, &fpt, args.runs)?);
            outcome.grid = Some(grid::measure(&scene, args.runs)?);
            outcome.stops = grid::stops(&scene, args.runs)?;
        }
        if args.steps > 0 {
            outcome.long = Some(long::measure(&scene, &fpt, args.steps)?);
        }
    }
    tell(&outcome, args.json)
}

fn tell(outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    let mut lines = Vec::new();
    if let Some(submission) = &outcome.submission {
        lines.push(submission.describe());
        broken.extend(submission.broken());
    }
    if let Some(grid) = &outcome.grid {
        lines.push(grid.describe());
        broken.extend(grid.broken());
    }
    for stop in &outcome.stops {
        lines.push(stop.describe());
        broken.extend(stop.broken());
    }
    if let Some(long) = &outcome.long {
        lines.push(long.describe());
        broken.extend(long.broken());
    }
    if let Some(checkpoints) = &outcome.checkpoints {
        lines.push(checkpoints.describe());
    }
    if json {
        terminal::print_json(outcome)?;
    } else {
        for line in lines {
            terminal::print_line(&line)?;
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// Bytes in megabytes, as they are written here.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
