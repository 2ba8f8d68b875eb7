//! Configuration: an [`Experiment`] file names models, data and tasks; what it says about one task, resolved,
//! is a [`RunConfig`].

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use fpt_partial::SelectionRules;
use fpt_prompt::PromptInit;
use fpt_schedule::{Method, ScheduleConfig};
use fpt_t5::T5Config;
use fpt_tasks::{BatchLimits, PadTo, Split, TaskName};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::TrainError;

/// An experiment file: settings for all tasks, and under `[task.NAME]` what differs for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Model directory, relative to the file; or a model of the hub, `owner/name` or `owner/name@revision`, which a
    /// program must bring to this machine before anything is run.
    pub model: PathBuf,
    /// A copy of the model's `config.json`, so that schedules can be checked and priced where the model itself is
    /// not there; relative to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_config: Option<PathBuf>,
    /// Directory of the tasks' data; relative to the file.
    pub data: PathBuf,
    /// The tasks of the experiment.
    pub tasks: Vec<TaskName>,
    /// The prompt.
    pub prompt: PromptConfig,
    /// Training.
    pub train: TrainConfig,
    /// Evaluation.
    pub eval: EvalConfig,
    /// Lengths and padding.
    pub lengths: LengthConfig,
    /// Which partial models are trained on, and for how long; absent means prompt tuning on the full model.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// What stays of the model in them.
    #[serde(default)]
    pub selection: SelectionConfig,
    /// What `reproduce` compares.
    #[serde(default)]
    pub methods: MethodLists,
    /// What `reproduce` tries the prompts of partial models for.
    #[serde(default)]
    pub transfer: TransferConfig,
    /// If the data is made, not fetched: how. Then it may be absent at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateConfig>,
    /// Settings of single tasks, with the same keys as above.
    #[serde(default)]
    pub task: BTreeMap<TaskName, Table>,
}

/// Sizes of generated data; the same for every task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(default, deny_unknown_fields)]
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
#[serde(default, deny_unknown_fields)]
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

/// One run, fully resolved; written into its directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The task.
    pub task: TaskName,
    /// Model directory in Hugging Face layout.
    pub model: PathBuf,
    /// Directory that holds the data of the task at `<task>/<file>`.
    pub data: PathBuf,
    /// Seed of all random streams: data order and prompt initialisation.
    pub seed: u64,
    /// The prompt.
    pub prompt: PromptConfig,
    /// Training.
    pub train: TrainConfig,
    /// Evaluation.
    pub eval: EvalConfig,
    /// Lengths and padding.
    pub lengths: LengthConfig,
    /// The stages.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// What stays of the model in them.
    #[serde(default)]
    pub selection: SelectionConfig,
}

/// The prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// Number of vectors; the paper has 20.
    pub length: usize,
    /// How it starts.
    pub init: PromptInit,
}

/// Training. The paper's optimizer is Adafactor without relative steps and parameter scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps.
    pub steps: usize,
    /// Examples a step; the paper has 32.
    pub batch_size: usize,
    /// The most source tokens a step, padding included: batches of long examples get fewer of them. Absent means that
    /// only `batch_size` counts, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// Constant learning rate; the paper has 0.3.
    pub learning_rate: f64,
    /// Decoupled weight decay; the paper has 1e-5.
    pub weight_decay: f32,
    /// Limit of the gradient's norm; the paper has 1.
    pub gradient_clip: f32,
    /// Start with a fresh prompt after each expansion, instead of the one trained so far.
    #[serde(default)]
    pub reset_prompt: bool,
    /// Start with a fresh optimizer after each expansion; the paper has one for all stages.
    #[serde(default)]
    pub reset_optimizer: bool,
}

/// Evaluation by greedy decoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Steps between evaluations on dev examples; the paper has 500.
    pub every: usize,
    /// Examples a batch.
    pub batch_size: usize,
    /// The most source tokens a batch, padding included, so that memory has a bound and batches of short examples may
    /// be large. Absent means that only `batch_size` counts. The answers do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// How many dev examples the evaluations during training use; absent means all. The best prompt is
    /// evaluated on all of dev and test at the end in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_examples: Option<usize>,
    /// The split whose scores are reported as test scores. The test files of GLUE, SQuAD and SuperGLUE have no answers:
    /// the paper reports dev.
    #[serde(default = "test_split", skip_serializing_if = "is_test_split")]
    pub report: Split,
    /// What is evaluated; absent means the full model, unless the schedule ends with a partial one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<EvalModel>,
    /// Whether to measure also what other runs are compared with: the frozen model without a prompt, and the
    /// test score of every prompt that was the best so far. Absent means only in plain prompt tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<bool>,
}

fn test_split() -> Split {
    Split::Test
}

fn is_test_split(split: &Split) -> bool {
    *split == Split::Test
}

/// Which model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvalModel {
    /// The full model, whatever is trained on.
    Full,
    /// The partial model of the current stage.
    Stage,
}

/// What stays of a model in a partial one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionConfig {
    /// How layers, neurons and heads are chosen.
    pub rules: SelectionRules,
    /// How they are scored, where the rules need scores.
    pub score: ScoreConfig,
    /// A file of scores of this model, instead of scoring it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<PathBuf>,
}

/// How the parts of a model are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreConfig {
    /// On examples of which split. The paper's authors took dev; training examples are the honest default.
    pub split: Split,
    /// On how many; the paper has 1000. They are spread evenly over the split.
    pub examples: usize,
    /// Examples a batch.
    pub batch_size: usize,
    /// Whether an untrained prompt goes before them, as in the paper.
    pub prompt: bool,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            split: Split::Train,
            examples: 1000,
            batch_size: 32,
            prompt: true,
        }
    }
}

/// Lengths, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthConfig {
    /// Longest source, `</s>` included, prompt excluded; the paper has 492.
    pub max_source: usize,
    /// Longest target, which also limits generation; absent means the paper's limit of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_target: Option<usize>,
    /// How far batches are padded.
    pub pad_to: PadTo,
}

impl Experiment {
    /// Read an experiment file; its paths become relative to the working directory.
    ///
    /// # Errors
    /// [`TrainError::Config`] names file, line and key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let fail = |reason: String| TrainError::Config {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut experiment: Self =
            toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        experiment.model = join_model(base, &experiment.model);
        experiment.data = join(base, &experiment.data);
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
        // A mistake in the settings of any task is reported now, not when its turn comes.
        for task in experiment.task.keys() {
            experiment
                .run(task, 0, &[])
                .map_err(|error| fail(format!("in [task.{task}]: {error}")))?;
        }
        Ok(experiment)
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
            task: task.clone(),
            model: self.model.clone(),
            data: self.data.clone(),
            seed,
            prompt: self.prompt.clone(),
            train: self.train.clone(),
            eval: self.eval.clone(),
            lengths: self.lengths.clone(),
            schedule: self.schedule.clone(),
            selection: self.selection.clone(),
        };
        let invalid = |key: &'static str| move |reason: String| TrainError::Value { key, reason };
        let mut table = Table::try_from(&config)
            .map_err(|error| invalid("task")(format!("can't be merged: {error}")))?;
        if let Some(settings) = self.task.get(task) {
            merge(&mut table, settings);
        }
        for assignment in overrides {
            let parsed: Table = parse_assignment(assignment).map_err(invalid("--set"))?;
            merge(&mut table, &parsed);
        }
        let config: RunConfig = table
            .try_into()
            .map_err(|error| invalid("task or --set")(format!("does not fit: {error}")))?;
        config.check()?;
        Ok(config)
    }
}

impl TrainConfig {
    /// How large a batch may be.
    pub fn batch_limits(&self) -> BatchLimits {
        BatchLimits {
            examples: self.batch_size,
            tokens: self.batch_tokens,
        }
    }
}

impl EvalConfig {
    /// How large a batch may be.
    pub fn batch_limits(&self) -> BatchLimits {
        BatchLimits {
            examples: self.batch_size,
            tokens: self.batch_tokens,
        }
    }
}

impl RunConfig {
    fn check(&self) -> Result<(), TrainError> {
        for (key, value) in [
            ("prompt.length", self.prompt.length),
            ("train.steps", self.train.steps),
            ("train.batch_size", self.train.batch_size),
            ("train.batch_tokens", self.train.batch_tokens.unwrap_or(1)),
            ("eval.batch_tokens", self.eval.batch_tokens.unwrap_or(1)),
            ("eval.every", self.eval.every),
            ("eval.batch_size", self.eval.batch_size),
            ("eval.dev_examples", self.eval.dev_examples.unwrap_or(1)),
            ("selection.score.examples", self.selection.score.examples),
            (
                "selection.score.batch_size",
                self.selection.score.batch_size,
            ),
            ("lengths.max_source", self.lengths.max_source),
            ("lengths.max_target", self.lengths.max_target.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(TrainError::Value {
                    key,
                    reason: "must be at least 1".into(),
                });
            }
        }
        let positive = [
            ("train.learning_rate", self.train.learning_rate),
            ("train.gradient_clip", f64::from(self.train.gradient_clip)),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(TrainError::Value {
                    key,
                    reason: format!("is {value}, but must be a positive number"),
                });
            }
        }
        if !(self.train.weight_decay.is_finite() && self.train.weight_decay >= 0.0) {
            return Err(TrainError::Value {
                key: "train.weight_decay",
                reason: format!("is {}, but must not be negative", self.train.weight_decay),
            });
        }
        Ok(())
    }
}

/// The path of a model, unless it looks like a name on the hub, `owner/name` or `owner/name@revision`, and no such
/// directory is there.
fn join_model(base: &Path, model: &Path) -> PathBuf {
    let joined = join(base, model);
    let parts: Vec<Component<'_>> = model.components().collect();
    let is_name = matches!(parts[..], [Component::Normal(_), Component::Normal(_)]);
    match is_name && !joined.exists() {
        true => model.to_path_buf(),
        false => joined,
    }
}

/// `base/path` without needless `..`, as it is shown to people and written into adapters.
fn join(base: &Path, path: &Path) -> PathBuf {
    let mut joined = PathBuf::new();
    for component in base.join(path).components() {
        let named = matches!(joined.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::ParentDir if named => _ = joined.pop(),
            Component::CurDir => {}
            other => joined.push(other),
        }
    }
    joined
}

/// `join` for the path at a dotted key of a table, where there is one.
fn join_value(base: &Path, table: &mut Table, key: &[&str], join: fn(&Path, &Path) -> PathBuf) {
    match (key, table) {
        ([last], table) => {
            if let Some(Value::String(path)) = table.get_mut(*last) {
                *path = join(base, Path::new(path.as_str())).display().to_string();
            }
        }
        ([first, rest @ ..], table) => {
            if let Some(Value::Table(table)) = table.get_mut(*first) {
                join_value(base, table, rest, join);
            }
        }
        ([], _) => {}
    }
}

/// `key=value` as a table. A value that is no TOML is taken as a string, so that `--set model=path` needs no
/// quotes.
fn parse_assignment(assignment: &str) -> Result<Table, String> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(format!(
            "`{assignment}` should be key=value, such as train.steps=50"
        ));
    };
    let key = key.trim();
    toml::from_str(&format!("{key} = {value}"))
        .or_else(|_| toml::from_str(&format!("{key} = {}", Value::from(value))))
        .map_err(|error: toml::de::Error| format!("`{assignment}`: {}", error.message()))
}

/// Lay `over` onto `base`: tables are merged, everything else is replaced.
fn merge(base: &mut Table, over: &Table) {
    // A method and explicit stages exclude each other: the one that is set last wins.
    for (set, dropped) in [("method", "stages"), ("stages", "method")] {
        if over.contains_key(set) && !over.contains_key(dropped) {
            base.remove(dropped);
            // Its name was that of the other schedule.
            base.remove("name");
        }
    }
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above))
                if key != "init" && key != "pad_to" =>
            {
                merge(below, above);
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
