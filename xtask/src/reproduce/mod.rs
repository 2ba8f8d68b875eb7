//! `cargo xtask reproduce`: plan the runs, execute them, report.

mod execute;
mod plan;
mod report;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt_tasks::TaskKind;
use fpt_train::Experiment;

use crate::{data, shell};

/// Run an experiment and print its table of scores.
///
/// Every run is a process and a directory of its own. Finished runs are found again and not repeated, so an
/// interrupted experiment goes on where it stopped. The table is also written to report.md and results.json
/// in the output directory.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Only these tasks; may be repeated.
    #[arg(long)]
    task: Vec<TaskKind>,

    /// Number of seeds a task: 0, 1, ...
    #[arg(long, default_value = "1")]
    seeds: NonZeroUsize,

    /// Optimizer steps, instead of the experiment's.
    #[arg(long)]
    steps: Option<NonZeroUsize>,

    /// Change a setting of all runs, such as prompt.length=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory of the runs and the report; by default named after the experiment, in runs/.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Runs at a time; by default one for each core, at most one for each task.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,

    /// Print the results as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = Experiment::from_file(&args.config)?;
    let name = args.config.file_stem().unwrap_or_default();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(name));
    let mut overrides = args.overrides.clone();
    if let Some(steps) = args.steps {
        overrides.push(format!("train.steps={steps}"));
    }
    let tasks = match args.task.is_empty() {
        true => &experiment.tasks,
        false => &args.task,
    };
    // Everything that can be wrong with the settings shows here, before anything runs.
    let runs = plan::plan(
        &experiment,
        tasks,
        args.seeds.get() as u64,
        &overrides,
        &out,
    )?;
    std::fs::create_dir_all(&out).with_context(|| format!("failed to create {}", out.display()))?;
    if let Some(generate) = &experiment.generate {
        data::ensure(&experiment.data, generate)?;
    }

    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = args.jobs.map_or(cores, NonZeroUsize::get).min(runs.len());
    let program = shell::build_fpt()?;
    let executor = execute::Executor {
        program: &program,
        config: &args.config,
        overrides: &overrides,
        threads: (cores / jobs).max(1),
    };
    let results = executor.run_all(&runs, jobs)?;
    report::write(&results, &out, args.json)
}
