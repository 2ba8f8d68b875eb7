//! What a command is about: an experiment, or a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use fpt_schedule::Method;
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{Experiment, RunConfig};

/// An experiment or a configuration, and what is changed of it.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// Experiment file, such as configs/mini.toml, or the config.toml of a run.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Task: one of the experiment's, mnli, qqp, squad2, record or xsum. May be left out where the experiment has only one.
    #[arg(long)]
    task: Option<TaskName>,

    /// Another model than the configuration's: a directory, or a model of the hub.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<PathBuf>,

    /// Change a setting, such as train.steps=50 or prompt.length=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Which run of which experiment.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    source: ConfigArgs,

    /// Seed of data order and prompt initialisation; by default 0, or that of the run.
    #[arg(long)]
    seed: Option<u64>,

    /// How to train: pt (the full model), ld-1/4, fr-1/2, cr-3/4 (partial models alone: layers dropped, FFN
    /// neurons left out, both), hd-1/2 (attention heads left out), or fpt-ld, fpt-fr, fpt-cr, fpt-hd (progressive
    /// training). By default as the experiment says.
    #[arg(long)]
    method: Option<Method>,
}

/// What was asked for.
pub(crate) struct Resolved {
    /// The experiment, where it is one.
    experiment: Option<Experiment>,
    /// The run.
    pub config: RunConfig,
    /// Where it is written.
    file: PathBuf,
}

impl Resolved {
    /// The experiment and its file, where it is one.
    pub(crate) fn origin(&self) -> Option<(&Experiment, &Path)> {
        let experiment = self.experiment.as_ref()?;
        Some((experiment, &self.file))
    }
}

impl RunArgs {
    /// The run, and the experiment that it is of.
    pub(crate) fn resolve(&self) -> anyhow::Result<Resolved> {
        let file = self
            .source
            .config
            .as_ref()
            .context("give an experiment, or the config.toml of a run, with --config FILE")?;
        let mut overrides = self.source.overrides();
        if let Some(method) = self.method {
            overrides.push(format!("schedule.method={method}"));
        }
        let mut resolved = self
            .source
            .of_file(file, self.seed.unwrap_or(0), &overrides)?;
        if resolved.experiment.is_none()
            && let Some(seed) = self.seed
        {
            resolved.config.seed = seed;
        }
        Ok(resolved)
    }
}

impl ConfigArgs {
    /// The configuration that is asked for; `run` is the directory of a finished one.
    pub(crate) fn resolve(&self, run: Option<&Path>) -> anyhow::Result<Resolved> {
        let run = run.map(|run| run.join("config.toml"));
        match (&run, &self.config) {
            (Some(_), Some(_)) => bail!("give a run or --config, not both"),
            (Some(file), None) | (None, Some(file)) => self.of_file(file, 0, &self.overrides()),
            (None, None) => {
                bail!("give the directory of a run, or an experiment with --config FILE")
            }
        }
    }

    fn overrides(&self) -> Vec<String> {
        let mut overrides = self.overrides.clone();
        if let Some(model) = &self.model {
            overrides.push(format!(
                "model={}",
                toml::Value::from(model.display().to_string())
            ));
        }
        overrides
    }

    fn of_file(&self, file: &Path, seed: u64, overrides: &[String]) -> anyhow::Result<Resolved> {
        if is_of_a_run(file) {
            let config = RunConfig::from_file(file)?.with(None, overrides)?;
            if let Some(task) = &self.task
                && *task != config.task
            {
                bail!(
                    "{} is of the task {}, not {task}",
                    file.display(),
                    config.task
                );
            }
            return Ok(Resolved {
                experiment: None,
                config,
                file: file.to_path_buf(),
            });
        }
        let experiment = Experiment::from_file(file)?;
        let task = match (&self.task, experiment.tasks.names()) {
            (Some(task), _) => task.clone(),
            (None, [only]) => only.clone(),
            (None, names) => {
                let names: Vec<_> = names.iter().map(TaskName::as_str).collect();
                bail!("which task? Give --task: {}", names.join(", "))
            }
        };
        experiment.registry(&Tasks::paper())?.get(&task)?;
        let config = experiment.run(&task, seed, overrides)?;
        Ok(Resolved {
            experiment: Some(experiment),
            config,
            file: file.to_path_buf(),
        })
    }
}

/// Whether a file is the configuration of a single run: it has a task, an experiment has tasks. What can't be read is left
/// to who reads it in earnest.
fn is_of_a_run(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    table.get("task").is_some_and(toml::Value::is_str) && !table.contains_key("tasks")
}
