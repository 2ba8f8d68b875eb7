//! A state as bytes, exactly: floats go as their bits or as decimals that come back as the same number.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use fpt_prompt::SoftPrompt;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::Circumstances;
use crate::average::Averaged;
use crate::state::{Anchor, Best, Counters, State};
use crate::{TrainConfig, adafactor};

/// Version of the format. Since 2 there may be batches that were passed over, and a state to go back to; since 3 a mean of
/// prompts.
pub(super) const VERSION: u32 = 3;

const META: &str = "state";
const PROMPT: &str = "prompt";
const BEST: &str = "best_prompt";
const LOSSES: &str = "losses";
const OPTIMIZER: &str = "optimizer";
/// And the places of the prompts that are held, from 0.
const AVERAGED: &str = "averaged";
const ANCHOR_AVERAGED: &str = "anchor_averaged";
const ANCHOR_PROMPT: &str = "anchor_prompt";
const ANCHOR_OPTIMIZER: &str = "anchor_optimizer";

/// All of a state that is no tensor.
#[derive(Serialize, Deserialize)]
struct Meta {
    circumstances: Circumstances,
    /// Bytes of `metrics.jsonl` until then.
    metrics: u64,
    /// The optimizer knows its parameter by this.
    prompt_id: u64,
    best: Option<BestMeta>,
    /// Steps of the state to go back to.
    #[serde(default)]
    anchor: Option<usize>,
    #[serde(default)]
    averaged: AveragedMeta,
    /// Of the state to go back to.
    #[serde(default)]
    anchor_averaged: AveragedMeta,
    counters: Counters,
}

#[derive(Serialize, Deserialize)]
struct BestMeta {
    mean: f64,
    step: usize,
}

/// A mean of prompts, but for what it holds.
#[derive(Default, Serialize, Deserialize)]
struct AveragedMeta {
    held: usize,
    steps: usize,
}

impl AveragedMeta {
    fn of(averaged: &Averaged) -> Self {
        Self {
            held: averaged.held.len(),
            steps: averaged.steps,
        }
    }

    /// The names of what is held.
    fn names(&self, name: &str) -> impl Iterator<Item = String> {
        let name = name.to_string();
        (0..self.held).map(move |place| format!("{name}.{place}"))
    }
}

/// A state that was read.
pub(super) struct Found {
    pub(super) state: State,
    pub(super) circumstances: Circumstances,
    pub(super) metrics: u64,
}

/// The content of a checkpoint.
pub(super) fn to_bytes(
    state: &State,
    circumstances: &Circumstances,
    metrics: u64,
) -> Result<Vec<u8>, String> {
    let meta = Meta {
        circumstances: circumstances.clone(),
        metrics,
        prompt_id: state.prompt.weight.id.val(),
        best: state.best.as_ref().map(|best| BestMeta {
            mean: best.mean,
            step: best.step,
        }),
        anchor: state.anchor.as_ref().map(|anchor| anchor.step),
        averaged: AveragedMeta::of(&state.averaged),
        anchor_averaged: (state.anchor.as_ref())
            .map(|anchor| AveragedMeta::of(&anchor.averaged))
            .unwrap_or_default(),
        counters: state.counters.clone(),
    };
    let held = held(state, &meta);
    let meta = serde_json::to_string(&meta).map_err(|error| error.to_string())?;
    let shape = state.prompt.shape().to_vec();
    let prompt = bytes_of(&state.prompt.values());
    let best = state
        .best
        .as_ref()
        .map(|best| bytes_of(&best.prompt.values()));
    let losses: Vec<u8> = (state.losses.iter())
        .flat_map(|loss| loss.to_le_bytes())
        .collect();
    let record = |optimizer: &ModuleOptimizer| {
        let bytes = optimizer.into_bytes();
        bytes.map_err(|error| error.to_string())
    };
    let optimizer = record(&state.optimizer)?;
    let anchor = state.anchor.as_ref();
    let anchor = anchor.map(|anchor| -> Result<_, String> {
        Ok((
            bytes_of(&anchor.prompt.values()),
            record(&anchor.optimizer)?,
        ))
    });
    let anchor = anchor.transpose()?;

    let mut tensors = vec![
        (PROMPT, Dtype::F32, shape.clone(), &prompt[..]),
        (LOSSES, Dtype::F64, vec![state.losses.len()], &losses[..]),
        (OPTIMIZER, Dtype::U8, vec![optimizer.len()], &optimizer[..]),
    ];
    if let Some(best) = &best {
        tensors.push((BEST, Dtype::F32, shape.clone(), &best[..]));
    }
    if let Some((prompt, optimizer)) = &anchor {
        let length = vec![optimizer.len()];
        tensors.push((ANCHOR_PROMPT, Dtype::F32, shape.clone(), &prompt[..]));
        tensors.push((ANCHOR_OPTIMIZER, Dtype::U8, length, &optimizer[..]));
    }
    for (name, prompt) in &held {
        tensors.push((name, Dtype::F32, shape.clone(), &prompt[..]));
    }
    let views = tensors.into_iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(dtype, shape, data).map_err(|error| error.to_string())?;
        Ok((name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, String>>()?;
    let meta = HashMap::from([(META.to_string(), meta)]);
    safetensors::serialize(views, Some(meta)).map_err(|error| error.to_string())
}

/// The prompts of the means, by name.
fn held(state: &State, meta: &Meta) -> Vec<(String, Vec<u8>)> {
    let anchor = state.anchor.iter().flat_map(|anchor| &anchor.averaged.held);
    let names = meta.averaged.names(AVERAGED);
    let names = names.chain(meta.anchor_averaged.names(ANCHOR_AVERAGED));
    let prompts = state.averaged.held.iter().chain(anchor);
    let bytes = |prompt: &Tensor<2>| {
        let values: Vec<f32> = prompt.to_data().iter::<f32>().collect();
        bytes_of(&values)
    };
    names.zip(prompts.map(bytes)).collect()
}

/// What [`to_bytes`] made. The prompt goes to the autodiff device `training`, the best one to `device`.
pub(super) fn from_bytes(
    bytes: &[u8],
    config: &TrainConfig,
    device: &Device,
    training: &Device,
) -> Result<Found, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| text(&error))?;
    let meta = header.metadata().as_ref().and_then(|meta| meta.get(META));
    let meta: Meta = serde_json::from_str(meta.ok_or("it has no state")?)
        .map_err(|error| format!("its state can't be read: {error}"))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| text(&error))?;
    let tensor = |name: &str| tensors.tensor(name).map_err(|error| text(&error));
    let prompt = |name: &str| -> Result<(Vec<f32>, [usize; 2]), String> {
        let tensor = tensor(name)?;
        let [length, width] = tensor.shape() else {
            return Err(format!("its {name} has another shape"));
        };
        let values: Vec<f32> = chunks(tensor.data()).map(f32::from_le_bytes).collect();
        if values.len() != length * width || values.iter().any(|x| !x.is_finite()) {
            return Err(format!("its {name} is no prompt"));
        }
        Ok((values, [*length, *width]))
    };
    let (values, shape) = prompt(PROMPT)?;
    let best = meta.best.map(|best| -> Result<Best, String> {
        let (values, shape) = prompt(BEST)?;
        Ok(Best {
            mean: best.mean,
            step: best.step,
            prompt: SoftPrompt::from_values(values, shape, device),
        })
    });
    let optimizer = |name: &str| {
        let bytes = Bytes::from_bytes_vec(tensor(name)?.data().to_vec());
        let read = || adafactor(config).from_bytes(bytes);
        // Burn panics at some records that it has not written.
        let optimizer = catch_unwind(AssertUnwindSafe(read));
        let optimizer = optimizer.map_err(|_| format!("its {name} is of another kind"))?;
        optimizer.map_err(|error| text(&error))
    };
    let averaged = |meta: &AveragedMeta, name: &str| -> Result<Averaged, String> {
        let held = meta.names(name).map(|name| {
            let (values, shape) = prompt(&name)?;
            Ok(Tensor::from_data(TensorData::new(values, shape), device))
        });
        Ok(Averaged {
            held: held.collect::<Result<_, String>>()?,
            steps: meta.steps,
        })
    };
    let trainable =
        |values, shape| SoftPrompt::with_id(values, shape, meta.prompt_id.into(), training);
    let anchor = meta.anchor.map(|step| -> Result<Anchor, String> {
        let (values, shape) = prompt(ANCHOR_PROMPT)?;
        Ok(Anchor {
            step,
            prompt: trainable(values, shape),
            optimizer: optimizer(ANCHOR_OPTIMIZER)?,
            averaged: averaged(&meta.anchor_averaged, ANCHOR_AVERAGED)?,
        })
    });
    let state = State {
        prompt: trainable(values, shape),
        optimizer: optimizer(OPTIMIZER)?,
        averaged: averaged(&meta.averaged, AVERAGED)?,
        anchor: anchor.transpose()?,
        best: best.transpose()?,
        losses: chunks(tensor(LOSSES)?.data())
            .map(f64::from_le_bytes)
            .collect(),
        counters: meta.counters,
    };
    let step = state.counters.step;
    if state.losses.len() != step {
        return Err("it has not as many losses as steps".into());
    }
    if (state.anchor.as_ref()).is_some_and(|anchor| anchor.step > step) {
        return Err("it would go back to steps to come".into());
    }
    Ok(Found {
        state,
        circumstances: meta.circumstances,
        metrics: meta.metrics,
    })
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The numbers of a tensor of little-endian numbers.
fn chunks<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.as_chunks().0.iter().copied()
}
