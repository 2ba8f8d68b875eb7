//! One run, fully resolved.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fpt_partial::SelectionRules;
use fpt_prompt::PromptInit;
use fpt_schedule::{ScheduleConfig, Share};
use fpt_t5::{Precision, Recompute};
use fpt_tasks::{
    BatchLimits, Declaration, DeclaredTask, PAPER_SOURCE_LENGTH, PadTo, Split, Task, TaskName,
    Tasks,
};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::merge::{merge, parse_assignment};
use super::mistakes;

use crate::{Average, RateSchedule, TrainError};

/// One run, fully resolved; written into its directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunConfig {
    /// The task.
    pub task: TaskName,
    /// Model directory in Hugging Face layout.
    pub model: PathBuf,
    /// Directory that holds the data of the task at `<task>/<file>`.
    pub data: PathBuf,
    /// Seed of all random streams: data order and prompt initialisation.
    pub seed: u64,
    /// Numbers that the model computes with.
    #[serde(default)]
    pub precision: Precision,
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
    /// What the task is, where it is declared and not programmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declaration>,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run: RunNotes,
}

/// What people say of a run, for themselves and others; it is no part of what the run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RunNotes {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl RunConfig {
    /// The paper's prompt tuning of `task` on a model, with seed 0: a directory in Hugging Face layout, or a name that the
    /// host finds. Everything else may be set afterwards.
    pub fn new(task: TaskName, model: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self {
            task,
            model: model.into(),
            data: data.into(),
            seed: 0,
            precision: Precision::default(),
            prompt: PromptConfig::default(),
            train: TrainConfig::default(),
            eval: EvalConfig::default(),
            lengths: LengthConfig::default(),
            schedule: ScheduleConfig::default(),
            selection: SelectionConfig::default(),
            declared: None,
            run: RunNotes::default(),
        }
    }

    /// Read the `config.toml` of a run. Its paths are as they were when it ran.
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
        let config: Self = mistakes::read(&text).map_err(fail)?;
        config.check().map_err(|error| fail(error.to_string()))?;
        Ok(config)
    }

    /// The same with other settings: those of a task, and over them `key=value`, with a dotted key and a TOML value.
    ///
    /// # Errors
    /// [`TrainError::Value`] names the key.
    pub fn with(&self, settings: Option<&Table>, overrides: &[String]) -> Result<Self, TrainError> {
        let invalid = |key: &'static str| move |reason: String| TrainError::Value { key, reason };
        let mut table = Table::try_from(self)
            .map_err(|error| invalid("task")(format!("can't be merged: {error}")))?;
        if let Some(settings) = settings {
            merge(&mut table, settings);
        }
        let of_file = table.clone();
        for assignment in overrides {
            let parsed: Table = parse_assignment(assignment).map_err(invalid("--set"))?;
            merge(&mut table, &parsed);
        }
        let config = mistakes::fit::<Self>(table).map_err(|reason| TrainError::Setting {
            reason: blame(&of_file, overrides).unwrap_or(reason),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Whether a prompt can be trained with these weights, as answers can be given with all.
    ///
    /// # Errors
    /// [`TrainError::Value`] says with which ones it can.
    pub fn check_trainable(&self) -> Result<(), TrainError> {
        match self.precision {
            Precision::Int8 => Err(TrainError::Value {
                key: "precision",
                reason: "is \"int8\", which changes the prompt's gradient too much; train with \"f32\" or \"bf16\", and \
                         answer with int8: `fpt predict --weights int8`"
                    .into(),
            }),
            _ => Ok(()),
        }
    }

    /// The task: as declared, or else the programmed one of that name.
    ///
    /// # Errors
    /// [`TrainError::Name`] if there is none of that name, [`TrainError::Declaration`] if the declaration makes none.
    pub fn task(&self, programmed: &Tasks) -> Result<Arc<dyn Task>, TrainError> {
        task_of(&self.task, self.declared.as_ref(), programmed)
    }
}

/// The task of a name: as declared, or else the programmed one.
pub(crate) fn task_of(
    name: &TaskName,
    declared: Option<&Declaration>,
    programmed: &Tasks,
) -> Result<Arc<dyn Task>, TrainError> {
    match declared {
        Some(declaration) => {
            let task = DeclaredTask::new(name.clone(), declaration.clone())?;
            Ok(Arc::new(task))
        }
        None => Ok(programmed.get(name)?),
    }
}

/// Which of the assignments do not fit a configuration, and why, a line each.
fn blame(of_file: &Table, assignments: &[String]) -> Option<String> {
    let wrong = |assignment: &String| {
        let parsed = parse_assignment(assignment).ok()?;
        let mut table = of_file.clone();
        merge(&mut table, &parsed);
        let reason = mistakes::fit::<RunConfig>(table).err()?;
        Some(format!("--set {assignment}: {reason}"))
    };
    let lines: Vec<_> = assignments.iter().filter_map(wrong).collect();
    (!lines.is_empty()).then(|| lines.join("\n  "))
}

/// The prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PromptConfig {
    /// Number of vectors; the paper has 20.
    pub length: usize,
    /// How it starts.
    pub init: PromptInit,
}

/// Training. The paper's optimizer is Adafactor without relative steps and parameter scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = with_aliases)
)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Optimizer steps.
    pub steps: usize,
    /// Examples a step; the paper has 32.
    pub batch_size: usize,
    /// The most source tokens a step, padding included: batches of long examples get fewer of them. Absent means that
    /// only `batch_size` counts, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// Parts in which a batch is computed, one after the other, for less memory: a part has so many times fewer examples
    /// and is padded to its own longest. The gradients add up to that of the whole batch, within rounding. Absent means 1.
    /// On several devices it is rounded up to a multiple of them.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// What the backward pass computes again instead of keeping it, for less memory (activation checkpointing, so
    /// `checkpoint` is another name of it): `"attention"`, the probabilities of all attentions; `"layers"`, the encoder
    /// layer by layer. The results are the same. Absent means `"none"`.
    #[serde(default, skip_serializing_if = "is_default", alias = "checkpoint")]
    pub recompute: Recompute,
    /// Learning rate, the highest if it does not stay the same; the paper has 0.3.
    pub learning_rate: f64,
    /// How it goes on after the warm-up, over the steps of all stages: `"constant"`, as in the paper, `"linear"`,
    /// `"cosine"` or `"inverse-sqrt"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule: RateSchedule,
    /// Steps of a linear warm-up; the paper has none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warmup: usize,
    /// Steps of another one after each expansion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stage_warmup: usize,
    /// Evaluate and keep a mean of the prompts: `{ kind = "exponential", decay = 0.95 }` over steps, or
    /// `{ kind = "evaluations", last = 3 }`. Absent means the prompt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// Training ends after so many evaluations in a row, in the last stage, that brought no better score on dev. Absent
    /// means that all steps are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
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
    /// What becomes of the run if a loss, a gradient or the prompt is infinite or NaN. Absent means `"stop"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_nonfinite: OnNonfinite,
}

/// Adds other names of keys, which `schemars` does not know of, to the schema of their table.
#[cfg(feature = "schema")]
fn with_aliases(schema: &mut schemars::Schema) {
    let keys = schema.get_mut("properties");
    let Some(keys) = keys.and_then(serde_json::Value::as_object_mut) else {
        return;
    };
    for [key, alias] in super::merge::ALIASES {
        if let Some(of_key) = keys.get(key).cloned() {
            keys.insert(alias.to_owned(), of_key);
        }
    }
}

/// What becomes of a run if a loss, a gradient or the prompt is infinite or NaN. In no case is anything kept that such a
/// step has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnNonfinite {
    /// It ends.
    #[default]
    Stop,
    /// It goes back to where it was before the step, and on with the next batch. Every step is looked at by itself, which
    /// lets a graphics card wait.
    Skip,
    /// It goes back to where it was evaluated last, or where the stage began, and on with the batches after the step's.
    Rewind,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_one(parts: &usize) -> bool {
    *parts == 1
}

/// Evaluation by greedy decoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
    /// evaluated on all of dev and of the reported split at the end in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_examples: Option<usize>,
    /// The split whose scores are reported; absent means test, and of a task without one dev. The test files of GLUE,
    /// SQuAD and SuperGLUE have no answers: the paper reports dev.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Split>,
    /// What is evaluated; absent means the full model, unless the schedule ends with a partial one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<EvalModel>,
    /// Whether to measure also what other runs are compared with: the frozen model without a prompt, and the
    /// reported score of every prompt that was the best so far. Absent means only in plain prompt tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<bool>,
}

/// Which model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EvalModel {
    /// The full model, whatever is trained on.
    Full,
    /// The partial model of the current stage.
    Stage,
}

/// What stays of a model in a partial one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LengthConfig {
    /// Longest source, `</s>` included, prompt excluded; the paper has 492.
    pub max_source: usize,
    /// Longest target, which also limits generation; absent means the paper's limit of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_target: Option<usize>,
    /// How far batches are padded.
    pub pad_to: PadTo,
}

impl Default for PromptConfig {
    /// The paper's length, and vectors drawn uniformly.
    fn default() -> Self {
        Self {
            length: 20,
            init: PromptInit::Uniform,
        }
    }
}

impl Default for TrainConfig {
    /// The paper's.
    fn default() -> Self {
        Self {
            steps: 30_000,
            batch_size: 32,
            batch_tokens: None,
            accumulate: 1,
            recompute: Recompute::default(),
            learning_rate: 0.3,
            schedule: RateSchedule::default(),
            warmup: 0,
            stage_warmup: 0,
            average: None,
            patience: None,
            weight_decay: 1e-5,
            gradient_clip: 1.0,
            reset_prompt: false,
            reset_optimizer: false,
            on_nonfinite: OnNonfinite::default(),
        }
    }
}

impl Default for EvalConfig {
    /// The paper's, on all of dev.
    fn default() -> Self {
        Self {
            every: 500,
            batch_size: 32,
            batch_tokens: None,
            dev_examples: None,
            report: None,
            model: None,
            reference: None,
        }
    }
}

impl Default for LengthConfig {
    /// The paper's limits; batches are padded to a multiple of 8 beyond their longest example.
    fn default() -> Self {
        Self {
            max_source: PAPER_SOURCE_LENGTH,
            max_target: None,
            pad_to: PadTo::Multiple(8),
        }
    }
}

impl TrainConfig {
    /// How large a batch may be in a stage whose batches are this share of the run's.
    pub(crate) fn batch_limits(&self, share: Share) -> BatchLimits {
        BatchLimits {
            examples: share.of(self.batch_size),
            tokens: self.batch_tokens.map(|tokens| share.of(tokens)),
        }
    }
}

impl EvalConfig {
    /// The split of `task` whose scores are reported.
    pub fn reported(&self, task: &dyn Task) -> Split {
        // Where it lies does not matter here.
        let has_test = || task.path(Path::new(""), Split::Test).is_some();
        match self.report {
            Some(split) => split,
            None if has_test() => Split::Test,
            None => Split::Dev,
        }
    }

    /// How large a batch may be.
    pub fn batch_limits(&self) -> BatchLimits {
        BatchLimits {
            examples: self.batch_size,
            tokens: self.batch_tokens,
        }
    }
}
