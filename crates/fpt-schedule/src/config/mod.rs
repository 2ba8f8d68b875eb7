//! How schedules are written.

mod resolve;

use serde::{Deserialize, Serialize};

use crate::{Amount, End, Method, Reduce, Share};

/// How a schedule is written in TOML, as the section `[schedule]`: a method of the paper by name,
/// or stages one by one. Without either it is prompt tuning on the full model.
///
/// `partial_steps`, `depth`, `width` and `heads` shape the partial stages of the `fpt-` methods;
/// whatever does not reduce a dimension passes its sizes over, so that one file serves all methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// What to do; absent means `pt`, or what `stages` say. Not together with `stages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// What the schedule is called in reports; absent means as the method is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which stacks a partial model reduces; absent means as the task wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
    /// Whether the last of `stages` must be the full model.
    pub end: End,
    /// Steps of each partial stage, of all steps; the rest is for the full model. The paper gives
    /// a fifth to each of three.
    pub partial_steps: Vec<Amount>,
    /// Layers of each partial stage, of those of a stack.
    pub depth: Vec<Amount>,
    /// FFN neurons of every layer in each partial stage.
    pub width: Vec<Amount>,
    /// Heads of every layer in each partial stage.
    pub heads: Vec<Amount>,
    /// Any other schedule, stage by stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageConfig>,
}

/// One stage, as `[[schedule.stages]]`. What is absent is as in the full model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Optimizer steps, of all steps. One stage may leave it out and take the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Amount>,
    /// How large its batches are, of those of the run: `train.batch_size`, and `train.batch_tokens` where that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Share>,
    /// Sources are cut to so many tokens, the prompt not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_source: Option<usize>,
    /// Layers of the stacks that [`ScheduleConfig::reduce`] names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Amount>,
    /// FFN neurons of every layer of these stacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_ff: Option<Amount>,
    /// Heads of every layer of these stacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<Amount>,
    /// The encoder's sizes, which go before those above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<StackConfig>,
    /// The decoder's sizes, which go before those above, also where only the encoder is reduced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<StackConfig>,
}

/// The sizes of one stack in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StackConfig {
    /// Layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Amount>,
    /// FFN neurons of every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_ff: Option<Amount>,
    /// Heads of every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<Amount>,
}

/// The paper's recipe for T5-Large.
impl Default for ScheduleConfig {
    fn default() -> Self {
        let growing = [Share::QUARTER, Share::HALF, Share::THREE_QUARTERS].map(Amount::Share);
        Self {
            method: None,
            name: None,
            reduce: None,
            end: End::Full,
            partial_steps: vec![Amount::Share(Share::FIFTH); growing.len()],
            depth: growing.to_vec(),
            width: growing.to_vec(),
            heads: growing.to_vec(),
            stages: Vec::new(),
        }
    }
}

impl From<Method> for ScheduleConfig {
    /// A method with the paper's recipe for T5-Large.
    fn from(method: Method) -> Self {
        Self {
            method: Some(method),
            ..Self::default()
        }
    }
}

impl ScheduleConfig {
    /// What to call the schedule in reports: its name, or else the method as in the paper's tables,
    /// or else `stages`.
    pub fn label(&self) -> String {
        match (&self.name, self.method) {
            (Some(name), _) => name.clone(),
            (None, Some(method)) => method.label(),
            (None, None) if self.stages.is_empty() => Method::Pt.label(),
            (None, None) => "stages".into(),
        }
    }
}
