//! `cargo xtask reproduce`: plan the runs, execute them, compare their prompts, report.

mod children;
mod execute;
mod placement;
mod plan;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args as ClapArgs, ValueEnum};
use fpt::{DeviceName, model, stop, terminal};
use fpt_schedule::{Method, Reduction};
use fpt_tasks::TaskName;
use fpt_train::{Claim, Experiment, Fingerprinter};

use crate::{data, shell};
use children::{Children, GRACE};
pub use execute::Stopped;
use plan::{Grid, Planned};

/// Run an experiment and report it.
///
/// By default both tables of the paper: prompt tuning on partial models, and progressive training. Every run is a
/// process and a directory of its own. Finished runs are found again and not repeated, and unfinished ones go on from
/// their last checkpoints, so an interrupted experiment goes on where it stopped. SIGINT (Ctrl-C), SIGTERM, SIGHUP and
/// SIGUSR1 end all runs, each with a checkpoint. A run that fails is a hole in the report, and makes the exit status 1;
/// so does one that read other data or another model than is there in the end, and there is no report then that shows it
/// beside others. One experiment at a time is run in an output directory. The report goes there: index.html, report.md,
/// results.json, results.csv; `cargo xtask report` makes it again.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Which of the paper's tables.
    #[arg(long, value_enum, default_value = "all")]
    table: TableChoice,

    /// A first impression: prompt tuning and FPT-CR on one task.
    #[arg(long, conflicts_with_all = ["table", "method"])]
    quick: bool,

    /// Only these methods, such as pt, cr-1/4 or fpt-cr; may be repeated.
    #[arg(long)]
    method: Vec<Method>,

    /// Only these tasks; may be repeated.
    #[arg(long)]
    task: Vec<TaskName>,

    /// Number of seeds: 0, 1, ...
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

    /// Runs at a time; by default one for each device, or one for each core where the processor computes.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,

    /// Of several devices each gets every n-th run.
    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// Move finished runs of another configuration or of other inputs (model, tokenizer, data: by content) into
    /// `set-aside` and train them anew.
    #[arg(long)]
    force_new: bool,

    /// Move unfinished runs into `set-aside` and begin them anew.
    #[arg(long)]
    restart: bool,

    /// Let each run write a checkpoint after so many steps, not only every five minutes and where a stage begins.
    #[arg(long, value_name = "STEPS")]
    checkpoint_steps: Option<NonZeroUsize>,

    /// Stop after so much time, such as 3h, each run with a checkpoint; exit status 75.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,

    /// Print the results as JSON instead of tables.
    #[arg(long)]
    json: bool,

    /// The `fpt` program, instead of building it.
    #[arg(long, hide = true)]
    program: Option<PathBuf>,
}

/// Which of the paper's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TableChoice {
    /// Partial models alone.
    #[value(name = "1")]
    One,
    /// Progressive training.
    #[value(name = "2")]
    Two,
    /// Both.
    All,
}

impl Args {
    fn out(&self) -> PathBuf {
        let name = self.config.file_stem().unwrap_or_default();
        let named = || PathBuf::from("runs").join(name);
        self.out.clone().unwrap_or_else(named)
    }

    /// What is asked for, each once: a run is a directory.
    fn tasks(&self, experiment: &Experiment) -> Vec<TaskName> {
        let mut tasks = match (self.task.is_empty(), self.quick) {
            (true, true) => (experiment.methods.quick.iter())
                .chain(&experiment.tasks)
                .take(1)
                .cloned()
                .collect(),
            (true, false) => experiment.tasks.clone(),
            (false, _) => self.task.clone(),
        };
        deduplicate(&mut tasks);
        tasks
    }

    fn methods(&self, experiment: &Experiment) -> Vec<Method> {
        let lists = &experiment.methods;
        let mut methods = match self.table {
            _ if !self.method.is_empty() => self.method.clone(),
            _ if self.quick => vec![Method::Pt, Method::Fpt(Reduction::Compound)],
            TableChoice::One => lists.table1.clone(),
            TableChoice::Two => lists.table2.clone(),
            TableChoice::All => lists.all(),
        };
        deduplicate(&mut methods);
        methods
    }

    fn overrides(&self) -> Vec<String> {
        let steps = self.steps.map(|steps| format!("train.steps={steps}"));
        self.overrides.iter().cloned().chain(steps).collect()
    }

    /// The runs, and those that start from their prompts. Everything that can be wrong with the settings shows here.
    fn plan(
        &self,
        experiment: &Experiment,
        tasks: &[TaskName],
        overrides: &[String],
        out: &Path,
    ) -> anyhow::Result<(Vec<Planned>, Vec<Planned>)> {
        let config = self.config.display();
        ensure!(
            experiment.schedule.stages.is_empty(),
            "{config} has [[schedule.stages]], but reproduce compares methods by name; train it with `fpt train`"
        );
        let grid = Grid {
            tasks,
            methods: &self.methods(experiment),
            seeds: self.seeds.get() as u64,
            overrides,
        };
        let runs = grid.plan(experiment, out)?;
        ensure!(
            !runs.is_empty(),
            "there is nothing to run: {config} names no task or no method of that table"
        );
        let starts = plan::starts(experiment, &runs, overrides, out)?;
        Ok((runs, starts))
    }
}

/// Run what is not finished, compare the prompts, and report.
pub fn run(args: &Args) -> anyhow::Result<()> {
    stop::listen()?;
    if let Some(limit) = args.time_limit {
        stop::after(limit);
    }
    let experiment = Experiment::from_file(&args.config)?;
    let out = args.out();
    let tasks = args.tasks(&experiment);
    let overrides = args.overrides();
    // The runs are told the device that `auto` is, so that all have the same.
    let devices = args.device.resolve()?;
    let (mut runs, starts) = args.plan(&experiment, &tasks, &overrides, &out)?;
    fpt_files::create_directory(&out)?;
    let _claim = Claim::new(&out)?;
    // What was killed while it wrote them.
    fpt_files::remove_stale(&out, Duration::ZERO, is_comparison_or_report);
    if let Some(generate) = &experiment.generate {
        data::ensure(&experiment.data, generate)?;
    }
    plan::find_finished(
        &mut runs,
        &mut Fingerprinter::new(model::find),
        args.force_new,
    )?;

    // Until here a stop ends this program at once. From now on there are others, which must end before it.
    stop::at_work();
    Children::during(stop::is_asked, GRACE, |children| {
        let program = until_stopped("Cargo built fpt", || match &args.program {
            Some(program) => Ok(program.clone()),
            None => shell::built(&children.output_of_stranger(&mut shell::build_command())?),
        })?;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let on_cards = devices != DeviceName::Cpu;
        let devices = devices.each();
        let asked = args.jobs.map(NonZeroUsize::get);
        let jobs = placement::jobs(asked, devices.len(), on_cards, cores, runs.len());
        let executor = execute::Executor {
            program: &program,
            children,
            config: &args.config,
            threads: (cores / jobs).max(1),
            devices: &devices,
            restart: args.restart,
            checkpoint_steps: args.checkpoint_steps,
        };
        let work = Work {
            experiment: &experiment,
            tasks: &tasks,
            out: &out,
            executor: &executor,
            jobs,
        };
        work.execute(runs, starts, args)
    })
}

/// An experiment on its way.
struct Work<'a> {
    experiment: &'a Experiment,
    tasks: &'a [TaskName],
    out: &'a Path,
    executor: &'a execute::Executor<'a>,
    jobs: usize,
}

impl Work<'_> {
    /// The runs, their comparisons, the `starts` from their prompts, and the report.
    fn execute(
        &self,
        mut runs: Vec<Planned>,
        mut starts: Vec<Planned>,
        args: &Args,
    ) -> anyhow::Result<()> {
        let total = runs.len() + starts.len();
        let mut failures = self.executor.run_all(&runs, self.jobs)?;
        // What a failed run would have made is missing to others, too; and what was read may be another now.
        let mut now = Fingerprinter::new(model::find);
        failures.extend(plan::retain_current(&mut runs, &mut now));
        until_stopped("prompts were compared", || self.compare_all(&runs))?;
        plan::retain_possible(&mut starts, &runs);
        plan::find_finished(&mut starts, &mut now, args.force_new)?;
        failures.extend(self.executor.run_all(&starts, self.jobs)?);
        let mut now = Fingerprinter::new(model::find);
        failures.extend(plan::retain_current(&mut starts, &mut now));
        let failed = failures.len();
        if failed < total {
            match fpt::report(self.out, args.json) {
                // It says so as well, but not all of it.
                Err(error) if !failures.is_empty() => {
                    failures.push(format!("no report: {}", terminal::with_causes(&error)));
                }
                other => other?,
            }
        }
        ensure!(
            failures.is_empty(),
            Failed(format!(
                "{failed} of {total} runs failed, or are not of what is there now; the same command tries them again\n{}",
                failures.join("\n")
            ))
        );
        Ok(())
    }

    /// Compare the prompts of each task: their similarity, and where the experiment asks for it their transfer.
    fn compare_all(&self, runs: &[Planned]) -> anyhow::Result<()> {
        for task in self.tasks {
            let prompts = plan::prompts(runs, task, false);
            self.compare("similarity", &[], &prompts, task)?;
        }
        let transfer = &self.experiment.transfer;
        let examples = ["--examples".to_string(), transfer.examples.to_string()];
        for task in transfer.tasks.iter().filter(|it| self.tasks.contains(it)) {
            let prompts = plan::prompts(runs, task, true);
            self.compare("transfer", &examples, &prompts, task)?;
        }
        Ok(())
    }

    /// Let `fpt similarity` or `fpt transfer` compare the prompts of a task, and keep what it says.
    fn compare(
        &self,
        command: &str,
        arguments: &[String],
        runs: &[&Path],
        task: &TaskName,
    ) -> anyhow::Result<()> {
        let path = self.out.join(format!("{command}-{task}.json"));
        if runs.len() < 2 || stop::is_asked() || is_current(&path, runs, arguments) {
            return Ok(());
        }
        terminal::note(&format!("{command} of the prompts for {task}"));
        let executor = self.executor;
        let output = executor.children.output(
            Command::new(executor.program)
                .args([command, "--json", "--with-parent"])
                .args(["--device", &executor.devices[0].to_string()])
                .args(arguments)
                .args(runs),
        )?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("{}", message.trim().trim_start_matches("error: "));
        }
        Ok(fpt_files::write(&path, &output.stdout)?)
    }
}

/// Whether a file of a directory of runs, by its name, is one that compares them.
fn is_comparison_or_report(name: &str) -> bool {
    let comparison = ["similarity-", "transfer-"];
    comparison.iter().any(|start| name.starts_with(start)) || fpt_report::FILES.contains(&name)
}

/// What `work` comes to, unless this program was asked to stop meanwhile, which is told.
///
/// # Errors
/// [`Stopped`], and those of the work.
fn until_stopped<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
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

/// Some runs failed; the others are in the report.
#[derive(Debug)]
pub struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Drop what was there before, keeping the order.
fn deduplicate<T: PartialEq + Clone>(items: &mut Vec<T>) {
    let mut seen = Vec::new();
    items.retain(|item| {
        let new = !seen.contains(item);
        seen.push(item.clone());
        new
    });
}

/// Whether the file is a comparison of just these runs, by just these arguments, made after all of them.
fn is_current(path: &Path, runs: &[&Path], arguments: &[String]) -> bool {
    let time = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    };
    let Some(made) = time(path) else {
        return false;
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Ok(found) = serde_json::from_str::<serde_json::Value>(&text) else {
        return false;
    };
    let compared = found["runs"] == serde_json::json!(runs);
    let as_asked = arguments.is_empty() || arguments.contains(&found["examples"].to_string());
    let finished = |run: &&Path| time(&run.join("result.json"));
    let newer = |run: &&Path| finished(run).is_some_and(|finished| finished <= made);
    compared && as_asked && runs.iter().all(newer)
}
