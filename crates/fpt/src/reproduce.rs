//! `fpt reproduce` and `cargo xtask reproduce`: plan the runs, execute them, compare their prompts, report.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use clap::{Args as ClapArgs, ValueEnum};
use fpt_schedule::{Method, Reduction};
use fpt_tasks::TaskName;
use fpt_train::Experiment;

use crate::experiments::Named;
use crate::grid::{
    Executor, FindProgram, Grid, Ground, Planned, RunArgs, begin, deduplicate, end, find_finished,
    open, prompts, retain_current, retain_possible, starts, until_stopped,
};
use crate::{model, stop, terminal};

/// Run an experiment and report it.
///
/// By default both tables of the paper: prompt tuning on partial models, and progressive training. Every run is a
/// process and a directory of its own. Finished runs are found again and not repeated, and unfinished ones go on from
/// their last checkpoints, so an interrupted experiment goes on where it stopped. SIGINT (Ctrl-C), SIGTERM, SIGHUP and
/// SIGUSR1 end all runs, each with a checkpoint. A run that fails is a hole in the report, and makes the exit status 1;
/// so does one that read other data or another model than is there in the end, and there is no report then that shows it
/// beside others. One experiment at a time is run in an output directory. The report goes there: index.html with a page
/// for each run in pages, report.md, results.json, results.csv; `fpt report DIR` makes it again.
///
/// Example: fpt reproduce --quick
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file, or the name of one that comes with the program (`fpt config list`), which is written into --out, and so
    /// are its data. The default of `fpt reproduce` is mini, that of `cargo xtask reproduce` the file configs/mini.toml.
    config: Option<PathBuf>,

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

    #[command(flatten)]
    run: RunArgs,

    /// Only list the runs, and which of them are finished.
    #[arg(long)]
    dry_run: bool,

    /// Print the results as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// What a program that has this command brings to it.
pub struct Offer {
    /// The experiment that is meant where none is named.
    pub config: &'static str,
    /// Finds the program that makes the runs.
    pub program: FindProgram,
    /// What people call the program.
    pub called: &'static str,
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
    fn out(&self, config: &Path) -> PathBuf {
        let name = config.file_stem().unwrap_or_default();
        let named = || PathBuf::from("runs").join(name);
        self.out.clone().unwrap_or_else(named)
    }

    /// What is asked for, each once: a run is a directory.
    fn tasks(&self, experiment: &Experiment) -> Vec<TaskName> {
        let mut tasks = match (self.task.is_empty(), self.quick) {
            (true, true) => (experiment.methods.quick.iter())
                .chain(experiment.tasks.names())
                .take(1)
                .cloned()
                .collect(),
            _ => experiment.tasks_or_all(&self.task).to_vec(),
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
        config: &Path,
        out: &Path,
    ) -> anyhow::Result<(Vec<Planned>, Vec<Planned>)> {
        let (config, overrides) = (config.display(), self.overrides());
        ensure!(
            experiment.schedule.stages.is_empty(),
            "{config} has [[schedule.stages]], but reproduce compares methods by name; train it with `fpt train`"
        );
        let seeds: Vec<u64> = (0..self.seeds.get() as u64).collect();
        let grid = Grid {
            tasks,
            methods: &self.methods(experiment),
            seeds: &seeds,
            overrides: &overrides,
        };
        let runs = grid.plan(experiment, out)?;
        ensure!(
            !runs.is_empty(),
            "there is nothing to run: {config} names no task or no method of that table"
        );
        let starts = starts(experiment, &runs, &overrides, out)?;
        Ok((runs, starts))
    }
}

/// Run what is not finished, compare the prompts, and report.
///
/// # Errors
/// What is wrong with the experiment, before anything runs; what failed, at the end; [`Stopped`](crate::grid::Stopped).
pub fn run(args: &Args, offer: &Offer) -> anyhow::Result<()> {
    args.run.listen()?;
    let named = args.config.as_deref();
    let config = named.unwrap_or(Path::new(offer.config));
    let out = args.out(config);
    let named = Named::find(config, &out)?;
    let experiment = &named.experiment;
    let tasks = args.tasks(experiment);
    if args.run.show_status(&out, args.json)? {
        return Ok(());
    }
    let devices = args.run.devices()?;
    let (mut runs, starts) = args.plan(experiment, &tasks, config, &out)?;
    let configs: Vec<_> = runs.iter().map(|run| run.config.clone()).collect();
    let ground = Ground {
        find: offer.program,
        experiment,
        config: &named.file,
        out: &out,
        devices,
        count: configs.len(),
        runs: &configs,
    };
    if args.dry_run {
        return args.run.show_plan(&ground, runs.iter().chain(&starts));
    }
    let _claim = open(&out, experiment)?;
    named.write()?;
    begin(&out, offer.called)?;
    // What was killed while it wrote them.
    fpt_files::remove_stale(&out, Duration::ZERO, is_comparison);
    find_finished(&mut runs, &mut model::fingerprinter(), args.run.force_new)?;

    args.run.with_executor(&ground, |executor| {
        let work = Work {
            experiment,
            tasks: &tasks,
            out: &out,
            executor,
        };
        work.execute(runs, starts, args)
    })
}

/// An experiment on its way.
struct Work<'a> {
    experiment: &'a Experiment,
    tasks: &'a [TaskName],
    out: &'a Path,
    executor: &'a dyn Executor,
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
        let mut failures = self.executor.run_all(&runs)?;
        // What a failed run would have made is missing to others, too; and what was read may be another now.
        let mut now = model::fingerprinter();
        failures.extend(retain_current(&mut runs, &mut now));
        until_stopped("prompts were compared", || self.compare_all(&runs))?;
        retain_possible(&mut starts, &runs);
        find_finished(&mut starts, &mut now, args.run.force_new)?;
        failures.extend(self.executor.run_all(&starts)?);
        let mut now = model::fingerprinter();
        failures.extend(retain_current(&mut starts, &mut now));
        let report = || crate::report(self.out, args.json);
        end(total, failures, report, || Ok(()))
    }

    /// Compare the prompts of each task: their similarity, and where the experiment asks for it their transfer.
    fn compare_all(&self, runs: &[Planned]) -> anyhow::Result<()> {
        for task in self.tasks {
            let prompts = prompts(runs, task, false);
            self.compare("similarity", &[], &prompts, task)?;
        }
        let transfer = &self.experiment.transfer;
        let examples = ["--examples".to_string(), transfer.examples.to_string()];
        for task in transfer.tasks.iter().filter(|it| self.tasks.contains(it)) {
            let prompts = prompts(runs, task, true);
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
        let mut words = vec![command.to_string(), "--json".into()];
        words.extend(arguments.iter().cloned());
        words.extend(runs.iter().map(|run| run.display().to_string()));
        let output = self.executor.output(&words)?;
        Ok(fpt_files::write(&path, &output)?)
    }
}

/// Whether a file of a directory of runs, by its name, is one that compares them.
fn is_comparison(name: &str) -> bool {
    let comparison = ["similarity-", "transfer-"];
    comparison.iter().any(|start| name.starts_with(start))
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
