//! Runs of an experiment: planned, found again where they are finished, and executed, as processes of this machine or as
//! jobs of a cluster.

mod allocation;
mod children;
mod execute;
mod local;
mod memory;
mod placement;
mod plan;
mod slurm;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args as ClapArgs, ValueEnum};
use fpt_train::{Claim, Experiment, RunConfig};

use crate::bytes::Bytes;
use crate::{DeviceName, generate, shell, stop, terminal};
pub use children::Children;
use children::GRACE;
pub use execute::{Executor, Stopped, Submitted};
use local::Local;
use memory::largest;
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

/// What executes runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Processes on this machine.
    #[default]
    Local,
    /// Jobs of Slurm: an array of the runs that are missing, and one after it that goes on up to the report.
    Slurm,
}

/// How runs are executed.
#[derive(ClapArgs)]
pub struct RunArgs {
    /// What executes the runs.
    #[arg(long, value_enum, default_value = "local")]
    pub on: On,

    /// What the cluster is to be told, over what the experiment says under `slurm`, such as partition=gpu, gres=gpu:1, time=4h,
    /// mem=24G or at_once=8; may be repeated. Time and memory are estimated where nothing says them.
    #[arg(long, value_name = "KEY=VALUE")]
    pub slurm: Vec<String>,

    /// With --on slurm: wait until all is done, show how it goes, and report; Ctrl-C leaves the jobs alone.
    #[arg(long)]
    pub wait: bool,

    /// With --on slurm: only show how the runs are doing that were submitted.
    #[arg(long, conflicts_with = "wait")]
    pub status: bool,

    /// This is the job that comes after an array.
    #[arg(long, hide = true)]
    pub in_job: bool,

    /// Runs at a time; by default one for each device, or, where the processor computes, one for each core, as far as memory
    /// suffices; with --on slurm as many as the cluster gives.
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

/// What runs are executed of, and where.
pub struct Ground<'a> {
    /// Finds the program, unless there is `--program`.
    pub find: FindProgram,
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Its file.
    pub config: &'a Path,
    /// Directory of the runs.
    pub out: &'a Path,
    /// What [`RunArgs::devices`] says.
    pub devices: DeviceName,
    /// How many runs may be executed at a time.
    pub count: usize,
    /// The runs, the largest of them at least: of these time and memory are estimated.
    pub runs: &'a [RunConfig],
}

impl RunArgs {
    /// See that they fit each other, and listen to signals, and to the clock where there is a limit.
    ///
    /// # Errors
    /// What does not fit; or if the system refuses.
    pub fn listen(&self) -> anyhow::Result<()> {
        if self.on == On::Local {
            let of_slurm = [
                ("--slurm", !self.slurm.is_empty()),
                ("--wait", self.wait),
                ("--status", self.status),
            ];
            for (option, is_given) in of_slurm {
                ensure!(!is_given, "{option} is of --on slurm, which is not given");
            }
        } else {
            ensure!(
                !self.restart,
                "--restart would begin runs anew each time that the cluster puts them back into its queue; move the \
                 directories NAME.partial away instead"
            );
        }
        stop::listen()?;
        if let Some(limit) = self.time_limit {
            stop::after(limit);
        }
        Ok(())
    }

    /// The devices that are meant. On this machine `auto` is decided, so that all runs have the same.
    ///
    /// # Errors
    /// If one is not there; of a cluster, if each node would have to decide.
    pub fn devices(&self) -> anyhow::Result<DeviceName> {
        match self.on {
            On::Local => allocation::devices(&self.device).resolve(),
            On::Slurm => slurm::device(&self.device).cloned(),
        }
    }

    /// Show how the runs in `out` are doing, if that is wanted: as a table, or as JSON.
    ///
    /// # Errors
    /// If Slurm does not answer.
    pub fn show_status(&self, out: &Path, json: bool) -> anyhow::Result<bool> {
        if self.status {
            slurm::show_status(out, json)?;
        }
        Ok(self.status)
    }

    /// Show what would be done with `runs`: the scripts that would be submitted, or a list.
    ///
    /// # Errors
    /// If standard output is closed, and as [`with_executor`](Self::with_executor).
    pub fn show_plan<'a>(
        &self,
        ground: &Ground<'_>,
        runs: impl Iterator<Item = &'a Planned>,
    ) -> anyhow::Result<()> {
        if self.on == On::Local {
            return list(runs, ground.out);
        }
        let runs: Vec<_> = runs.collect();
        self.with_program(ground, |_, program| {
            self.on_slurm(ground, program, slurm::Mode::Leave)?
                .print(&runs)
        })
    }

    /// Do `work` with what executes runs. Until then a stop ends this program at once; from now on there are others, which
    /// must end before it.
    ///
    /// # Errors
    /// Those of the functions.
    pub fn with_executor<T>(
        &self,
        ground: &Ground<'_>,
        work: impl FnOnce(&dyn Executor) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if self.on == On::Slurm {
            slurm::programs()?;
        }
        stop::at_work();
        let devices = ground.devices.each();
        self.with_program(ground, |children, program| {
            let here = |jobs| self.on_this_machine(ground, program, children, &devices, jobs);
            if self.on == On::Local {
                return work(&here(self.jobs_here(ground, devices.len())?));
            }
            let mode = match (self.in_job, self.wait) {
                // It makes no runs.
                (true, _) => slurm::Mode::Job(here(1)),
                (_, true) => slurm::Mode::Wait,
                _ => slurm::Mode::Leave,
            };
            work(&self.on_slurm(ground, program, mode)?)
        })
    }

    fn with_program<T>(
        &self,
        ground: &Ground<'_>,
        work: impl FnOnce(&Children, &Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        Children::during(stop::is_asked, GRACE, |children| {
            let program = match &self.program {
                Some(program) => program.clone(),
                None => (ground.find)(children)?,
            };
            work(children, &program)
        })
    }

    fn on_this_machine<'a>(
        &self,
        ground: &Ground<'a>,
        program: &'a Path,
        children: &'a Children,
        devices: &'a [DeviceName],
        jobs: usize,
    ) -> Local<'a> {
        Local {
            program,
            children,
            config: ground.config,
            threads: (allocation::cores() / jobs).max(1),
            devices,
            jobs,
            restart: self.restart,
            checkpoint_steps: self.checkpoint_steps,
        }
    }

    /// How many runs this machine makes at a time on so many devices.
    fn jobs_here(&self, ground: &Ground<'_>, devices: usize) -> anyhow::Result<usize> {
        let cores = allocation::cores();
        let on_cards = ground.devices != DeviceName::Cpu;
        let asked = self.jobs.map(NonZeroUsize::get);
        let at_once = match asked {
            None if !on_cards => {
                let largest = largest(ground.experiment, ground.runs)?;
                fitting(cores.min(ground.count), largest)
            }
            _ => cores,
        };
        Ok(placement::jobs(
            asked,
            devices,
            on_cards,
            at_once,
            ground.count,
        ))
    }

    fn on_slurm<'a>(
        &self,
        ground: &Ground<'a>,
        program: &Path,
        mode: slurm::Mode<'a>,
    ) -> anyhow::Result<slurm::Slurm<'a>> {
        let settings = slurm::Settings {
            program: slurm::absolute(program)?,
            programs: slurm::programs().ok(),
            config: ground.config,
            out: ground.out,
            device: ground.devices.clone(),
            checkpoint_steps: self.checkpoint_steps,
        };
        let mut assignments = self.slurm.clone();
        assignments.extend(self.jobs.map(|jobs| format!("at_once={jobs}")));
        slurm::Slurm::new(settings, mode, ground, &assignments)
    }
}

/// As many of `wanted` runs of `largest` bytes as there is memory for; that they are fewer is told.
fn fitting(wanted: usize, largest: u64) -> usize {
    let Some(free) = allocation::memory() else {
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
    let claim = Claim::telling(out, &mut |line| terminal::note(line))?;
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
