//! Which runs an experiment is, and which of them are finished.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt_files::with_causes;
use fpt_partial::shape;
use fpt_prompt::PromptInit;
use fpt_schedule::{Method, ModelShape};
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{Experiment, Fingerprinter, Plan, RunConfig, RunResult, TrainError, finished_run};

use crate::{data, finished, model, terminal};

/// A run of the experiment.
pub struct Planned {
    /// Its method; `None` for stages of its own, which its settings have.
    pub method: Option<Method>,
    /// Its directory.
    pub directory: PathBuf,
    /// Its settings, besides the method.
    pub overrides: Vec<String>,
    /// As `fpt train` will resolve it.
    pub config: RunConfig,
    /// Its result, as far as it was found finished.
    pub finished: Option<RunResult>,
}

/// What to run.
pub struct Grid<'a> {
    /// Tasks.
    pub tasks: &'a [TaskName],
    /// Methods.
    pub methods: &'a [Method],
    /// Seeds.
    pub seeds: &'a [u64],
    /// Settings for all runs.
    pub overrides: &'a [String],
}

impl Grid<'_> {
    /// All runs, below `out`. Everything that can be wrong with the settings shows here, before anything runs.
    ///
    /// # Errors
    /// What is wrong with them; and if the model's shape is not known.
    pub fn plan(&self, experiment: &Experiment, out: &Path) -> anyhow::Result<Vec<Planned>> {
        let model = shape(&model::config(experiment)?);
        let mut runs = Vec::new();
        for &seed in self.seeds {
            for &method in self.methods {
                for task in self.tasks {
                    let directory = out.join(format!("{task}-{}-s{seed}", method.slug()));
                    let overrides = self.overrides.to_vec();
                    let run =
                        Planned::new(experiment, task, Some(method), seed, overrides, directory)?;
                    run.check(&model)
                        .with_context(|| format!("{method} on {task}"))?;
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }
}

impl Planned {
    /// The run of `task` with `method`, or as the experiment and `overrides` say, and `seed`.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub fn new(
        experiment: &Experiment,
        task: &TaskName,
        method: Option<Method>,
        seed: u64,
        overrides: Vec<String>,
        directory: PathBuf,
    ) -> anyhow::Result<Self> {
        let mut all = overrides.clone();
        all.extend(method.map(|method| format!("schedule.method={method}")));
        Ok(Self {
            method,
            directory,
            overrides,
            config: experiment.run(task, seed, &all)?,
            finished: None,
        })
    }

    /// That its schedule fits a model of this shape.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self, model: &ModelShape) -> anyhow::Result<()> {
        let task = self.config.task(&Tasks::paper())?;
        Plan::new(&self.config, &*task, model)?;
        Ok(())
    }

    /// What people see it called: the directory's name.
    pub fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What `fpt train` is told of it, besides the experiment and the device.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--task".into(),
            self.config.task.to_string(),
            "--seed".into(),
            self.config.seed.to_string(),
            "--out".into(),
            self.directory.display().to_string(),
        ];
        if let Some(method) = self.method {
            arguments.extend(["--method".into(), method.to_string()]);
        }
        for assignment in &self.overrides {
            arguments.extend(["--set".into(), assignment.clone()]);
        }
        arguments
    }

    /// Whether it is one of the runs that others are compared with, of the first seed.
    fn is_first_of(&self, task: &TaskName) -> bool {
        &self.config.task == task && self.config.seed == 0
    }
}

/// Print the runs that would lie below `out`, a line each, and how far each is.
///
/// # Errors
/// If standard output is closed.
pub fn list<'a>(runs: impl IntoIterator<Item = &'a Planned>, out: &Path) -> anyhow::Result<()> {
    let mut counts = [0; 3];
    for run in runs {
        let mut unfinished = run.directory.clone().into_os_string();
        unfinished.push(".partial");
        let state = match run.directory.join("result.json").exists() {
            true => 0,
            false if Path::new(&unfinished).exists() => 1,
            false => 2,
        };
        counts[state] += 1;
        let name = run.directory.strip_prefix(out).unwrap_or(&run.directory);
        let state = ["finished", "unfinished", "to do"][state];
        terminal::print_line(&format!("{state:<10}  {}", name.display()))?;
    }
    let [finished, unfinished, new] = counts;
    terminal::note(&format!(
        "{} runs in {}: {finished} finished, {unfinished} unfinished, {new} to do",
        finished + unfinished + new,
        out.display()
    ));
    Ok(())
}

/// Find out which of `runs` are finished. A finished run of another configuration or of other inputs is an error, or, if
/// `force_new`, set aside.
///
/// # Errors
/// That, and if the data are not there.
pub fn find_finished(
    runs: &mut [Planned],
    fingerprinter: &mut Fingerprinter,
    force_new: bool,
) -> anyhow::Result<()> {
    for run in runs.iter() {
        data::require_for_training(&run.config, None)?;
    }
    for run in runs {
        let mut look = |force_new| finished(&run.directory, &run.config, fingerprinter, force_new);
        run.finished = match look(force_new) {
            // It is of no use to anybody: it is repeated.
            Err(TrainError::Damaged { .. }) => look(true)?,
            found => found?,
        };
    }
    Ok(())
}

/// Drop the runs that are not there, or are no longer what is wanted: what one of them read may have been replaced while
/// others were running, and they are not to be compared then. Returns the latter, a line each. What is left has its result.
pub fn retain_current(runs: &mut Vec<Planned>, fingerprinter: &mut Fingerprinter) -> Vec<String> {
    let mut others = Vec::new();
    runs.retain_mut(
        |run| match finished_run(&run.directory, &run.config, fingerprinter) {
            Ok(result) => {
                run.finished = result;
                run.finished.is_some()
            }
            Err(error) => {
                others.push(format!("{}: {}", run.name(), with_causes(&error)));
                false
            }
        },
    );
    others
}

/// The directories of the runs of a task with the first seed; only those of one stage, where transfer asks for a model a
/// run.
pub fn prompts<'a>(runs: &'a [Planned], task: &TaskName, one_stage: bool) -> Vec<&'a Path> {
    runs.iter()
        .filter(|run| run.is_first_of(task))
        .filter(|run| !one_stage || !matches!(run.method, Some(Method::Fpt(..))))
        .map(|run| run.directory.as_path())
        .collect()
}

/// For each task that the experiment names: short trainings on the full model, one that starts afresh, and one from
/// the prompt of each partial model among `runs`. They lie in `init/` below `out`.
///
/// # Errors
/// What is wrong with their settings.
pub fn starts(
    experiment: &Experiment,
    runs: &[Planned],
    overrides: &[String],
    out: &Path,
) -> anyhow::Result<Vec<Planned>> {
    let transfer = &experiment.transfer;
    let mut starts = Vec::new();
    for task in &transfer.tasks {
        let sources: Vec<&Planned> = runs
            .iter()
            .filter(|run| run.is_first_of(task))
            .filter(|run| matches!(run.method, Some(Method::Partial(..))))
            .collect();
        if sources.is_empty() {
            continue;
        }
        let mut start = |name: &str, from: Option<&Path>| -> anyhow::Result<()> {
            let mut overrides = overrides.to_vec();
            overrides.push(format!("train.steps={}", transfer.steps));
            overrides.extend(start_settings(transfer.every, from)?);
            let directory = out.join("init").join(format!("{task}-{name}-s0"));
            let pt = Some(Method::Pt);
            starts.push(Planned::new(experiment, task, pt, 0, overrides, directory)?);
            Ok(())
        };
        start("fresh", None)?;
        for source in sources {
            let method = source.method.map_or_else(String::new, Method::slug);
            start(&format!("from-{method}"), Some(&source.directory))?;
        }
    }
    Ok(starts)
}

/// What distinguishes a run whose way from its start is looked at: often evaluated, and where it starts from, the prompt of
/// another run or a fresh one.
///
/// # Errors
/// If the run's path is no text, which settings are.
pub fn start_settings(every: usize, from: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut settings = vec![
        format!("eval.every={every}"),
        "eval.reference=false".to_string(),
    ];
    if let Some(run) = from {
        let path = run.join("adapter");
        let path = toml::Value::from(path.to_str().context("a run's path is no text")?);
        settings.push(format!(
            "prompt.init={{ kind = \"adapter\", path = {path} }}"
        ));
    }
    Ok(settings)
}

/// Drop the starts from prompts of other runs than these.
pub fn retain_possible(starts: &mut Vec<Planned>, runs: &[Planned]) {
    starts.retain(|start| match &start.config.prompt.init {
        PromptInit::Adapter { path } => runs.iter().any(|run| path.starts_with(&run.directory)),
        _ => true,
    });
}
