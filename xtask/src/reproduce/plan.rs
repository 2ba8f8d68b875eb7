//! Which runs an experiment is, and which of them are finished.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt_schedule::Method;
use fpt_tasks::TaskKind;
use fpt_train::{Experiment, RunConfig, RunResult, finished_run};

/// A run of the experiment.
pub struct Planned {
    /// Its task.
    pub task: TaskKind,
    /// Its method.
    pub method: Method,
    /// Its seed.
    pub seed: u64,
    /// Its directory.
    pub directory: PathBuf,
    /// Its settings, besides the method.
    pub overrides: Vec<String>,
    /// Its result, if it was finished before.
    pub finished: Option<RunResult>,
}

/// What to run.
pub struct Grid<'a> {
    /// Tasks.
    pub tasks: &'a [TaskKind],
    /// Methods.
    pub methods: &'a [Method],
    /// Seeds 0, 1, ...
    pub seeds: u64,
    /// Settings for all runs.
    pub overrides: &'a [String],
}

impl Grid<'_> {
    /// All runs, below `out`. Everything that can be wrong with the settings shows here, before anything runs.
    pub fn plan(&self, experiment: &Experiment, out: &Path) -> anyhow::Result<Vec<Planned>> {
        let model = experiment.model_config()?;
        let mut runs = Vec::new();
        for seed in 0..self.seeds {
            for &method in self.methods {
                for &task in self.tasks {
                    let directory = out.join(format!("{task}-{}-s{seed}", method.slug()));
                    let overrides = self.overrides.to_vec();
                    let run = Planned::new(experiment, task, method, seed, overrides, directory)?;
                    run.config(experiment)?
                        .resolve_schedule(&model)
                        .with_context(|| format!("{method} on {task}"))?;
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }
}

impl Planned {
    fn new(
        experiment: &Experiment,
        task: TaskKind,
        method: Method,
        seed: u64,
        overrides: Vec<String>,
        directory: PathBuf,
    ) -> anyhow::Result<Self> {
        let mut run = Self {
            task,
            method,
            seed,
            directory,
            overrides,
            finished: None,
        };
        run.finished = finished_run(&run.directory, &run.config(experiment)?)?;
        Ok(run)
    }

    /// What people see it called: the directory's name.
    pub fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// As `fpt train` will resolve it.
    fn config(&self, experiment: &Experiment) -> anyhow::Result<RunConfig> {
        let mut overrides = self.overrides.clone();
        overrides.push(format!("schedule.method={}", self.method));
        Ok(experiment.run(self.task, self.seed, &overrides)?)
    }
}

/// For each task that the experiment names: short trainings on the full model, one that starts afresh, and one from
/// the prompt of each partial model among `runs`. They lie in `init/` below `out`.
pub fn starts(
    experiment: &Experiment,
    runs: &[Planned],
    overrides: &[String],
    out: &Path,
) -> anyhow::Result<Vec<Planned>> {
    let transfer = &experiment.transfer;
    let mut starts = Vec::new();
    for &task in &transfer.tasks {
        let sources: Vec<&Planned> = runs
            .iter()
            .filter(|run| run.task == task && run.seed == 0)
            .filter(|run| matches!(run.method, Method::Partial(..)))
            .collect();
        if sources.is_empty() {
            continue;
        }
        let mut start = |name: &str, init: Option<String>| -> anyhow::Result<()> {
            let mut overrides = overrides.to_vec();
            overrides.push(format!("train.steps={}", transfer.steps));
            overrides.push(format!("eval.every={}", transfer.every));
            overrides.push("eval.reference=false".into());
            overrides.extend(init.map(|init| format!("prompt.init={init}")));
            let directory = out.join("init").join(format!("{task}-{name}-s0"));
            let pt = Method::Pt;
            starts.push(Planned::new(experiment, task, pt, 0, overrides, directory)?);
            Ok(())
        };
        start("fresh", None)?;
        for source in sources {
            let path = source.directory.join("adapter");
            let path = toml::Value::from(path.to_str().context("a run's path is no text")?);
            let init = format!("{{ kind = \"adapter\", path = {path} }}");
            start(&format!("from-{}", source.method.slug()), Some(init))?;
        }
    }
    Ok(starts)
}
