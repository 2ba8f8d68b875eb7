//! Runs of an experiment: planned, found again where they are finished, and executed as processes.

mod children;
mod execute;
mod memory;
mod placement;
mod plan;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use fpt_train::{Claim, Experiment};

use crate::bytes::Bytes;
use crate::{DeviceName, available_memory, generate, shell, stop, terminal};
pub use children::Children;
use children::GRACE;
pub use execute::{Executor, Stopped};
pub use memory::largest;
pub use plan::{
    Grid, Planned, find_finished, list, prompts, retain_current, retain_possible, start_settings,
    starts,
};

/// Finds the `fpt` program that makes the runs; what it must start for that are `Children`.
pub type FindProgram = fn(&Children) -> anyhow::Result<PathBuf>;

/// This very program, where it is `fpt`.
///
/// # Errors
/// If the system does not tell where it lies.
pub fn this_program(_: &Children) -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find this program")
}

/// How runs are executed.
#[derive(ClapArgs)]
pub struct RunArgs {
    /// Runs at a time; by default one for each device, or, where the processor computes, one for each core, as far as memory
    /// suffices.
    #[arg(long)]
    pub jobs: Option<NonZeroUsize>,

    /// Of several devices each gets every n-th run.
    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    pub device: DeviceName,

    /// Move finished runs of another configuration or of other inputs (model, tokenizer, data: by content) into
    /// `set-aside` and train them anew.
    #[arg(long)]
    pub force_new: bool,

    /// Move unfinished runs into `set-aside` and begin them anew.
    #[arg(long)]
    pub restart: bool,

    /// Let each run write a checkpoint after so many steps, not only every five minutes and where a stage begins.
    #[arg(long, value_name = "STEPS")]
    pub checkpoint_steps: Option<NonZeroUsize>,

    /// Stop after so much time, such as 3h, each run with a checkpoint; exit status 75.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time_limit: Option<Duration>,

    /// Another `fpt` program.
    #[arg(long, hide = true)]
    pub program: Option<PathBuf>,
}

impl RunArgs {
    /// Listen to signals, and to the clock where there is a limit.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen(&self) -> anyhow::Result<()> {
        stop::listen()?;
        if let Some(limit) = self.time_limit {
            stop::after(limit);
        }
        Ok(())
    }

    /// Do `work` with what executes up to `runs` runs of the experiment file `config` on `devices`, the largest of which
    /// takes as much memory as `largest` says, with the program that `find` finds unless there is `--program`. Until then a
    /// stop ends this program at once; from now on there are others, which must end before it.
    ///
    /// # Errors
    /// Those of the functions.
    pub fn with_executor<T>(
        &self,
        find: FindProgram,
        config: &Path,
        devices: DeviceName,
        runs: usize,
        largest: impl FnOnce() -> anyhow::Result<u64>,
        work: impl FnOnce(&Executor<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        stop::at_work();
        Children::during(stop::is_asked, GRACE, |children| {
            let program = match &self.program {
                Some(program) => program.clone(),
                None => find(children)?,
            };
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let on_cards = devices != DeviceName::Cpu;
            let devices = devices.each();
            let asked = self.jobs.map(NonZeroUsize::get);
            let at_once = match asked {
                None if !on_cards => fitting(cores.min(runs), largest()?),
                _ => cores,
            };
            let jobs = placement::jobs(asked, devices.len(), on_cards, at_once, runs);
            work(&Executor {
                program: &program,
                children,
                config,
                threads: (cores / jobs).max(1),
                devices: &devices,
                jobs,
                restart: self.restart,
                checkpoint_steps: self.checkpoint_steps,
            })
        })
    }
}

/// As many of `wanted` runs of `largest` bytes as there is memory for; that they are fewer is told.
fn fitting(wanted: usize, largest: u64) -> usize {
    let Some(free) = available_memory() else {
        return wanted;
    };
    let fitting = memory::fitting(largest, free).min(wanted);
    if fitting < wanted {
        terminal::note(&format!(
            "{fitting} of {wanted} runs at a time: one may take {}, and {} of memory are free; --jobs sets another number",
            Bytes(largest),
            Bytes(free)
        ));
    }
    fitting
}

/// Make the directory of an experiment's runs this process's own, and see that the data are there.
///
/// # Errors
/// If another process has it, or a file can't be written.
pub fn open(out: &Path, experiment: &Experiment) -> anyhow::Result<Claim> {
    fpt_files::create_directory(out)?;
    let claim = Claim::new(out)?;
    generate::ensure(experiment)?;
    Ok(claim)
}

/// Remove from a directory of runs what reports left that were killed, and write down the command that the report is to name;
/// `called` is what people call this program by.
///
/// # Errors
/// If it can't be written.
pub fn begin(out: &Path, called: &str) -> anyhow::Result<()> {
    fpt_files::remove_stale(out, Duration::ZERO, |name| {
        fpt_report::FILES.contains(&name) || name == fpt_report::COMMAND
    });
    let pages = out.join(fpt_report::PAGES);
    fpt_files::remove_stale(pages, Duration::ZERO, |name| name.ends_with(".html"));
    let command = format!("{}\n", shell::own_command(called));
    Ok(fpt_files::write(out.join(fpt_report::COMMAND), command)?)
}

/// How a grid of `total` runs ends, of which `failures` tells those that failed, a line each: with a report, unless none is
/// there to report, and with the rest of `telling`.
///
/// # Errors
/// If a run failed, or the report.
pub fn end(
    total: usize,
    mut failures: Vec<String>,
    report: impl FnOnce() -> anyhow::Result<()>,
    telling: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let failed = failures.len();
    if failed < total {
        match report() {
            // It says so as well, but not all of it.
            Err(error) if failed > 0 => {
                failures.push(format!("no report: {}", terminal::with_causes(&error)));
            }
            other => other?,
        }
    }
    telling()?;
    ensure!(
        failures.is_empty(),
        "{failed} of {total} runs failed, or are not of what is there now; the same command tries them again\n{}",
        failures.join("\n")
    );
    Ok(())
}

/// Drop what was there before, keeping the order: a run is a directory.
pub fn deduplicate<T: PartialEq + Clone>(items: &mut Vec<T>) {
    let mut seen = Vec::new();
    items.retain(|item| {
        let new = !seen.contains(item);
        seen.push(item.clone());
        new
    });
}

/// What `work` comes to, unless this program was asked to stop meanwhile, which is told.
///
/// # Errors
/// [`Stopped`], and those of the work.
pub fn until_stopped<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let outcome = work();
    if !stop::is_asked() {
        return outcome;
    }
    terminal::note(&format!(
        "stopped by {} while {what}; the same command goes on",
        stop::reason()
    ));
    Err(Stopped.into())
}
