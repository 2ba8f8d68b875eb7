//! The experiment file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fpt_files::with_causes;
use fpt_prompt::PromptInit;
use fpt_schedule::{Method, ScheduleConfig};
use fpt_t5::Precision;
use fpt_t5::T5Config;
use fpt_tasks::{TaskName, Tasks};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::merge::{join, join_model, join_value};
use super::mistakes;
use super::run::is_default;
use super::{
    EvalConfig, LengthConfig, PromptConfig, RunConfig, RunNotes, SelectionConfig, SlurmConfig,
    SweepConfig, TaskList, TrainConfig,
};
use crate::TrainError;

/// An experiment file: settings for all tasks, and under `[task.NAME]` what differs for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Experiment {
    /// Model directory, relative to the file; or a model of the hub, `owner/name` or `owner/name@revision`, which a
    /// program must bring to this machine before anything is run.
    pub model: PathBuf,
    /// A copy of the model's `config.json`, so that schedules can be checked and priced where the model itself is
    /// not there; relative to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_config: Option<PathBuf>,
    /// Directory of the paper's tasks' data; relative to the file. Declared tasks name their own files.
    #[serde(default)]
    pub data: PathBuf,
    /// The tasks of the experiment.
    pub tasks: TaskList,
    /// Numbers that the model computes with.
    #[serde(default)]
    pub precision: Precision,
    /// The prompt.
    #[serde(default)]
    pub prompt: PromptConfig,
    /// Training.
    #[serde(default)]
    pub train: TrainConfig,
    /// Evaluation.
    #[serde(default)]
    pub eval: EvalConfig,
    /// Lengths and padding.
    #[serde(default)]
    pub lengths: LengthConfig,
    /// Which partial models are trained on, and for how long; absent means prompt tuning on the full model.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// What stays of the model in them.
    #[serde(default)]
    pub selection: SelectionConfig,
    /// What people say of its runs.
    #[serde(default)]
    pub run: RunNotes,
    /// What `reproduce` compares.
    #[serde(default)]
    pub methods: MethodLists,
    /// What `reproduce` tries the prompts of partial models for.
    #[serde(default)]
    pub transfer: TransferConfig,
    /// What `sweep` varies.
    #[serde(default, skip_serializing_if = "SweepConfig::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
    pub sweep: SweepConfig,
    /// What the cluster must be told, where Slurm executes the runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slurm: SlurmConfig,
    /// If the data is made, not fetched: how. Then it may be absent at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateConfig>,
    /// Settings of single tasks, with the same keys as above.
    #[serde(default)]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "BTreeMap<TaskName, BTreeMap<String, serde_json::Value>>")
    )]
    pub task: BTreeMap<TaskName, Table>,
}

/// Sizes of generated data; the same for every task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GenerateConfig {
    /// Seed.
    pub seed: u64,
    /// Training examples.
    pub train: usize,
    /// Dev examples.
    pub dev: usize,
    /// Test examples.
    pub test: usize,
}

/// The methods of the paper's two tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MethodLists {
    /// The task of a first impression, prompt tuning against FPT-CR; absent means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<TaskName>,
    /// Table 1: partial models alone.
    pub table1: Vec<Method>,
    /// Table 2: progressive training.
    pub table2: Vec<Method>,
}

/// Trying prompts on each other's models, and as the start of another training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferConfig {
    /// The tasks to do so for.
    pub tasks: Vec<TaskName>,
    /// Dev examples of each score.
    pub examples: usize,
    /// Steps of the trainings on the full model that start with another run's prompt.
    pub steps: usize,
    /// Steps between their evaluations.
    pub every: usize,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            examples: 250,
            steps: 1000,
            every: 50,
        }
    }
}

impl Default for MethodLists {
    fn default() -> Self {
        Self {
            quick: None,
            table1: vec![Method::Pt],
            table2: vec![Method::Pt],
        }
    }
}

impl MethodLists {
    /// The methods of both tables, each once.
    pub fn all(&self) -> Vec<Method> {
        let mut methods: Vec<Method> = self.table1.iter().chain(&self.table2).copied().collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}

impl Experiment {
    /// The paper's settings for some tasks on a model. Everything else may be set afterwards.
    pub fn new(model: impl Into<PathBuf>, data: impl Into<PathBuf>, tasks: TaskList) -> Self {
        Self {
            model: model.into(),
            model_config: None,
            data: data.into(),
            tasks,
            precision: Precision::default(),
            prompt: PromptConfig::default(),
            train: TrainConfig::default(),
            eval: EvalConfig::default(),
            lengths: LengthConfig::default(),
            schedule: ScheduleConfig::default(),
            selection: SelectionConfig::default(),
            run: RunNotes::default(),
            sweep: SweepConfig::default(),
            slurm: SlurmConfig::default(),
            methods: MethodLists::default(),
            transfer: TransferConfig::default(),
            generate: None,
            task: BTreeMap::new(),
        }
    }

    /// Read an experiment file; its paths become relative to the working directory. Its tasks are the paper's and those
    /// that it declares.
    ///
    /// # Errors
    /// [`TrainError::Config`] names file, line and key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        Self::from_file_with(path, &Tasks::paper())
    }

    /// [`from_file`](Self::from_file), with these tasks instead of the paper's.
    ///
    /// # Errors
    /// As there.
    pub fn from_file_with(path: impl AsRef<Path>, tasks: &Tasks) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| TrainError::Config {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        Self::from_text(&text, path, tasks)
    }

    /// What [`from_file_with`](Self::from_file_with) makes of a file `path` with the content `text`; it need not be there.
    ///
    /// # Errors
    /// As there.
    pub fn from_text(
        text: &str,
        path: impl AsRef<Path>,
        tasks: &Tasks,
    ) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let fail = |reason: String| TrainError::Config {
            path: path.to_path_buf(),
            reason,
        };
        let mut experiment: Self = mistakes::read(text).map_err(fail)?;
        let base = path.parent().unwrap_or(Path::new(""));
        experiment.model = join_model(base, &experiment.model);
        experiment.data = join(base, &experiment.data);
        experiment.tasks.join(base);
        experiment.sweep.join(base);
        if let Some(config) = &mut experiment.model_config {
            *config = join(base, config);
        }
        if let PromptInit::Adapter { path } = &mut experiment.prompt.init {
            *path = join(base, path);
        }
        if let Some(scores) = &mut experiment.selection.scores {
            *scores = join(base, scores);
        }
        for settings in experiment.task.values_mut() {
            join_value(base, settings, &["model"], join_model);
            let keys: [&[&str]; 3] = [
                &["data"],
                &["selection", "scores"],
                &["prompt", "init", "path"],
            ];
            for key in keys {
                join_value(base, settings, key, join);
            }
        }
        experiment
            .check()
            .and_then(|()| experiment.check_tasks(tasks))
            .map_err(|error| fail(with_causes(&error)))?;
        // A mistake in the settings of any task is reported now, not when its turn comes.
        for task in experiment.task.keys() {
            experiment
                .run(task, 0, &[])
                .map_err(|error| fail(format!("in [task.{task}]: {}", with_causes(&error))))?;
        }
        Ok(experiment)
    }

    /// The tasks that are asked for; all of the experiment where none is.
    pub fn tasks_or_all<'a>(&'a self, asked: &'a [TaskName]) -> &'a [TaskName] {
        match asked {
            [] => self.tasks.names(),
            asked => asked,
        }
    }

    /// The model's configuration: its own, or, where the model is not there, the copy that the file names.
    ///
    /// # Errors
    /// [`TrainError::Model`] if it can't be read.
    pub fn model_config(&self) -> Result<T5Config, TrainError> {
        let own = self.model.join("config.json");
        match &self.model_config {
            Some(copy) if !own.exists() => Ok(T5Config::from_file(copy)?),
            _ => Ok(T5Config::from_file(own)?),
        }
    }

    /// The run of `task` with `seed`. Each of `overrides` is `key=value` with a dotted key and a TOML value,
    /// such as `train.steps=50`; it wins over the file.
    ///
    /// # Errors
    /// [`TrainError::Value`] names the key.
    pub fn run(
        &self,
        task: &TaskName,
        seed: u64,
        overrides: &[String],
    ) -> Result<RunConfig, TrainError> {
        let config = RunConfig {
            seed,
            precision: self.precision,
            prompt: self.prompt.clone(),
            train: self.train.clone(),
            eval: self.eval.clone(),
            lengths: self.lengths.clone(),
            schedule: self.schedule.clone(),
            selection: self.selection.clone(),
            declared: self.tasks.declared().get(task).cloned(),
            run: self.run.clone(),
            ..RunConfig::new(task.clone(), &self.model, &self.data)
        };
        if i64::try_from(seed).is_err() {
            return Err(TrainError::Value {
                key: "seed",
                reason: format!(
                    "is {seed}, but must be at most {}: TOML, which runs are written in, has no larger integer",
                    i64::MAX
                ),
            });
        }
        let settings = self.task.get(task);
        config.with(settings, overrides)
    }
}
