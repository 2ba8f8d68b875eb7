//! The model that answers, its prompt, and what that is for.

use std::sync::Arc;

use anyhow::bail;
use burn::tensor::Device;
use fpt::memory::numbers;
use fpt::model;
use fpt_prompt::{SoftPrompt, adapter_base_model};
use fpt_schedule::memory::Numbers;
use fpt_t5::{Precision, T5, T5Tokenizer};
use fpt_tasks::{Task, Tasks};
use fpt_train::{Answering, Purpose, RunConfig};

use super::Args;
use crate::commands::{adapter, adapter_of};

/// A model with its prompt.
pub(super) struct Prompted {
    pub(super) model: T5,
    pub(super) tokenizer: T5Tokenizer,
    pub(super) prompt: Option<SoftPrompt>,
    pub(super) answering: Answering,
    /// What its weights are in.
    pub(super) numbers: Numbers,
    purpose: Option<(Purpose, Arc<dyn Task>)>,
}

impl Prompted {
    /// That which is asked for.
    pub(super) fn load(args: &Args, device: &Device) -> anyhow::Result<Self> {
        let place = args.run.as_deref().or(args.adapter.as_deref());
        let place = place.map(adapter_of);
        let purpose = match &place {
            Some(place) => Purpose::read(place)?,
            None => None,
        };
        let purpose = match purpose {
            Some(purpose) => {
                let task = purpose.task(&Tasks::paper())?;
                Some((purpose, task))
            }
            None => None,
        };
        let named = match (&args.model, &args.run, &place) {
            (Some(model), _, _) => model.clone(),
            (None, Some(run), _) => RunConfig::from_file(run.join("config.toml"))?.model,
            (None, None, Some(adapter)) => match adapter_base_model(adapter)? {
                Some(model) => model.into(),
                None => bail!("{} names no model; give --model", adapter.display()),
            },
            (None, None, None) => bail!("give the directory of a run, or a model with --model"),
        };
        let precision = match (args.weights, &purpose) {
            (Some(weights), _) => weights.precision(),
            (None, Some((purpose, _))) => purpose.precision,
            (None, None) => Precision::default(),
        };
        let directory = model::directory(&named)?;
        let tokenizer = T5Tokenizer::from_directory(&directory)?;
        let model = T5::from_pretrained_in(&directory, precision, device)?;
        tokenizer.check_fits(model.config())?;
        let prompt = adapter(place.as_deref(), model.config().d_model, device)?;
        let answering = match &purpose {
            Some((purpose, task)) => Answering::of(&**task, &tokenizer, purpose.max_target)?,
            None => Answering::generated(),
        };
        Ok(Self {
            model,
            tokenizer,
            prompt,
            answering,
            numbers: numbers(precision),
            purpose,
        })
    }

    /// The task that the prompt was trained for, if that is known.
    pub(super) fn task(&self) -> Option<&dyn Task> {
        self.purpose.as_ref().map(|(_, task)| &**task)
    }

    /// Where its sources were cut.
    pub(super) fn max_source(&self) -> Option<usize> {
        self.purpose.as_ref().map(|(purpose, _)| purpose.max_source)
    }

    /// The longest answer.
    pub(super) fn max_target(&self) -> Option<usize> {
        self.purpose.as_ref().map(|(purpose, _)| purpose.max_target)
    }

    /// The length of the prompt.
    pub(super) fn vectors(&self) -> usize {
        self.prompt.as_ref().map_or(0, |prompt| prompt.shape()[0])
    }
}
