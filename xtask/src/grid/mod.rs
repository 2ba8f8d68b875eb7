//! Runs of an experiment: planned, found again where they are finished, and executed as processes.

mod children;
mod execute;
mod memory;
mod placement;
mod plan;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use fpt::bytes::Bytes;
use fpt::{DeviceName, available_memory, stop, terminal};
use fpt_train::{Claim, Experiment};

use crate::{data, shell};
use children::{Children, GRACE};
pub(crate) use execute::Executor;
pub use execute::Stopped;
pub(crate) use memory::largest;
pub(crate) use plan::{
    Grid, Planned, find_finished, prompts, retain_current, retain_possible, start_settings, starts,
};

/// How runs are executed.
#[derive(ClapArgs)]
pub struct RunArgs {
    /// Runs at a time; by default one for each device, or, where the processor computes, one for each core, as far as memory
    /// suffices.
    #[arg(long)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Of several devices each gets every n-th run.
    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    pub(crate) device: DeviceName,

    /// Move finished runs of another configuration or of other inputs (model, tokenizer, data: by content) into
    /// `set-aside` and train them anew.
    #[arg(long)]
    pub(crate) force_new: bool,

    /// Move unfinished runs into `set-aside` and begin them anew.
    #[arg(long)]
    pub(crate) restart: bool,

    /// Let each run write a checkpoint after so many steps, not only every five minutes and where a stage begins.
    #[arg(long, value_name = "STEPS")]
    pub(crate) checkpoint_steps: Option<NonZeroUsize>,

    /// Stop after so much time, such as 3h, each run with a checkpoint; exit status 75.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) time_limit: Option<Duration>,

    /// The `fpt` program, instead of building it.
    #[arg(long, hide = true)]
    pub(crate) program: Option<PathBuf>,
}

impl RunArgs {
    /// Listen to signals, and to the clock where there is a limit.
    pub(crate) fn listen(&self) -> anyhow::Result<()> {
        stop::listen()?;
        if let Some(limit) = self.time_limit {
            stop::after(limit);
        }
        Ok(())
    }

    /// Do `work` with what executes up to `runs` runs of the experiment file `config` on `devices`, the largest of which
    /// takes as much memory as `largest` says. Until then a stop ends this program at once; from now on there are others,
    /// which must end before it.
    pub(crate) fn with_executor<T>(
        &self,
        config: &Path,
        devices: DeviceName,
        runs: usize,
        largest: impl FnOnce() -> anyhow::Result<u64>,
        work: impl FnOnce(&Executor<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        stop::at_work();
        Children::during(stop::is_asked, GRACE, |children| {
            let program = until_stopped("Cargo built fpt", || match &self.program {
                Some(program) => Ok(program.clone()),
                None => shell::built(&children.output_of_stranger(&mut shell::build_command())?),
            })?;
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
pub(crate) fn open(out: &Path, experiment: &Experiment) -> anyhow::Result<Claim> {
    fpt_files::create_directory(out)?;
    let claim = Claim::new(out)?;
    data::ensure(experiment)?;
    Ok(claim)
}

/// What `work` comes to, unless this program was asked to stop meanwhile, which is told.
///
/// # Errors
/// [`Stopped`], and those of the work.
pub(crate) fn until_stopped<T>(
    what: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
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
