//! `fpt sweep`: the grid of settings that an experiment declares.

mod names;
mod outcome;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use fpt::grid::{
    Executor, Ground, Planned, RunArgs, begin, deduplicate, end, find_finished, open,
    retain_current, this_program,
};
use fpt::{model, terminal};
use fpt_partial::shape;
use fpt_tasks::TaskName;
use fpt_train::{Combination, Experiment};

use names::Names;
use outcome::Outcome;

const SECTION: &str = "\
The section in the experiment file, here for 8 runs of each task:
  [sweep]
  \"train.learning_rate\" = [0.01, 0.02]
  \"schedule.method\" = [\"pt\", \"fpt-ld\"]
  seed = [0, 1]";

/// Run every combination of settings that an experiment's [sweep] section declares, and tell which is the best on dev.
///
/// The section, which is shown below, has lists of values, by dotted key; `seed` makes several runs of each combination.
///
/// Every run is a process and a directory of its own, called by task, settings and seed. Finished runs are found again and not
/// repeated, also when values are added to the lists, and unfinished ones go on from their last checkpoints. SIGINT (Ctrl-C),
/// SIGTERM, SIGHUP and SIGUSR1 end all runs, each with a checkpoint. A run that fails does not stop the others; it is told at
/// the end, and makes the exit status 1. The report goes beside the runs, with a table sorted by dev score; `fpt report DIR`
/// makes it again.
///
/// Example: fpt sweep mine.toml --out runs/sweep
#[derive(ClapArgs)]
#[command(after_help = SECTION)]
pub(crate) struct Args {
    /// Experiment file with a [sweep] section.
    config: PathBuf,

    /// Only these tasks; may be repeated. By default all of the experiment.
    #[arg(long)]
    task: Vec<TaskName>,

    /// Change a setting of all runs, such as prompt.length=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory of the runs and the report; by default named after the experiment, in runs/.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    run: RunArgs,

    /// Only list the runs, and which of them are finished.
    #[arg(long)]
    dry_run: bool,

    /// Print what each combination came to as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn out(&self) -> PathBuf {
        let named = || PathBuf::from("runs").join(self.config.file_stem().unwrap_or_default());
        self.out.clone().unwrap_or_else(named)
    }

    /// What is asked for, each once: a run is a directory.
    fn tasks(&self, experiment: &Experiment) -> Vec<TaskName> {
        let mut tasks = experiment.tasks_or_all(&self.task).to_vec();
        deduplicate(&mut tasks);
        tasks
    }

    /// The runs, seed by seed, so that an end before the last leaves whole grids. Everything that can be wrong with the settings
    /// shows here, before anything runs.
    fn plan(
        &self,
        experiment: &Experiment,
        tasks: &[TaskName],
        out: &Path,
    ) -> anyhow::Result<Vec<Planned>> {
        let sweep = &experiment.sweep;
        let config = self.config.display();
        ensure!(
            !sweep.is_empty(),
            "{config} has no [sweep] section: `fpt sweep --help` shows one"
        );
        ensure!(!tasks.is_empty(), "{config} names no task");
        for assignment in &self.overrides {
            let key = assignment.split('=').next().unwrap_or_default().trim();
            ensure!(
                sweep.keys().all(|swept| swept != key),
                "`{key}` is swept in {config}, and --set sets it"
            );
        }
        let names = Names::of(sweep.keys());
        let model = shape(&model::config(experiment)?);
        let mut runs: Vec<Planned> = Vec::new();
        for &seed in sweep.seeds() {
            for combination in &sweep.combinations() {
                for task in tasks {
                    let directory = out.join(names.directory(task, combination, seed));
                    let settings = self.settings(&names, combination);
                    let run = Planned::new(experiment, task, None, seed, settings, directory);
                    let label = names.label(combination);
                    let about = || format!("[sweep] in {config}, {label} on {task}");
                    let run = run.with_context(about)?;
                    run.check(&model).with_context(about)?;
                    let taken = runs.iter().any(|other| other.directory == run.directory);
                    ensure!(!taken, "[sweep] in {config}: two runs are {}", run.name());
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    /// What a combination sets. Its schedule is called by it, by which reports tell combinations from seeds.
    fn settings(&self, names: &Names, combination: &Combination) -> Vec<String> {
        let mut settings = self.overrides.clone();
        settings.extend(names::assignments(combination));
        if !combination.is_empty() {
            let label = toml::Value::from(names.label(combination));
            settings.push(format!("schedule.name={label}"));
        }
        settings
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.run.listen()?;
    let experiment = Experiment::from_file(&args.config)?;
    let out = args.out();
    let tasks = args.tasks(&experiment);
    if args.run.show_status(&out, args.json)? {
        return Ok(());
    }
    let devices = args.run.devices()?;
    let mut runs = args.plan(&experiment, &tasks, &out)?;
    let configs: Vec<_> = runs.iter().map(|run| run.config.clone()).collect();
    let ground = Ground {
        find: this_program,
        experiment: &experiment,
        config: &args.config,
        out: &out,
        devices,
        count: configs.len(),
        runs: &configs,
    };
    if args.dry_run {
        return args.run.show_plan(&ground, runs.iter());
    }
    let _claim = open(&out, &experiment)?;
    begin(&out, "fpt")?;
    find_finished(&mut runs, &mut model::fingerprinter(), args.run.force_new)?;

    args.run.with_executor(&ground, |executor| {
        execute(executor, runs, &experiment, &tasks, &out, args)
    })
}

/// The runs, the report, and what is the best.
fn execute(
    executor: &dyn Executor,
    mut runs: Vec<Planned>,
    experiment: &Experiment,
    tasks: &[TaskName],
    out: &Path,
    args: &Args,
) -> anyhow::Result<()> {
    let total = runs.len();
    let mut failures = executor.run_all(&runs)?;
    failures.extend(retain_current(&mut runs, &mut model::fingerprinter()));
    let report = || {
        if args.json {
            fpt_report::write(out).map(|_| ()).map_err(Into::into)
        } else {
            fpt::report(out, false)
        }
    };
    end(total, failures, report, || {
        let outcome = Outcome::of(&experiment.sweep, &runs, tasks);
        match outcome.best() {
            _ if args.json => terminal::print_json(&outcome),
            Some(best) => terminal::print_line(&best),
            None => Ok(()),
        }
    })
}
