//! A run, from the first weights to the files of a model.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use fpt_t5::{SaveOptions, T5};
use fpt_world::{tokenizer, write_tokenizer};
use tokenizers::Tokenizer;

use crate::batch::Batches;
use crate::files::write_json;
use crate::init::initial;
use crate::optimizer::Optimizers;
use crate::probe::skills;
use crate::shards::Workers;
use crate::state::State;
use crate::{LossPoint, PretrainConfig, PretrainError, PretrainEvent, PretrainLog};

/// Steps a point of the loss curve stands for.
const LOG_EVERY: usize = 50;

/// Pre-train the scale model and write `config.json`, `model.safetensors`, the tokenizer's files and
/// `pretrain.json`, which names `revision` as the source that made it, into `out`.
///
/// The state is saved into `state` every `save_every` steps; a run with the same configuration goes on
/// from there and ends with the same weights, to the bit, as one that was never interrupted.
///
/// # Errors
/// [`PretrainError`] if a file can't be read or written, or if `state` belongs to another configuration.
pub fn pretrain(
    config: &PretrainConfig,
    out: &Path,
    state: &Path,
    revision: &str,
    device: &Device,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<PretrainLog, PretrainError> {
    for directory in [out, state] {
        std::fs::create_dir_all(directory).map_err(PretrainError::write(directory))?;
    }
    let run = Run {
        config,
        directory: state,
        device,
        tokenizer: tokenizer()?,
        optimizers: Optimizers::new()?,
    };
    let state = run.start(on_event)?;
    let state = run.train(state, on_event)?;
    let model = state.model.valid();
    let log = PretrainLog {
        revision: revision.to_string(),
        config: config.clone(),
        parameters: model.num_params(),
        seconds: state.progress.seconds.round(),
        skills: run.probe(&model, state.progress.step, on_event)?,
        curve: state.progress.curve,
    };
    model.save_pretrained(out, SaveOptions::default())?;
    write_tokenizer(out)?;
    write_json(&out.join("pretrain.json"), &log)?;
    Ok(log)
}

/// What stays the same during a run.
struct Run<'a> {
    config: &'a PretrainConfig,
    /// Of the saved states.
    directory: &'a Path,
    device: &'a Device,
    tokenizer: Tokenizer,
    optimizers: Optimizers,
}

impl Run<'_> {
    /// The state that was saved last, or the initial one.
    fn start(&self, on_event: &mut dyn FnMut(PretrainEvent)) -> Result<State, PretrainError> {
        let vocabulary = self.tokenizer.get_vocab_size(true);
        let model = initial(self.config, vocabulary, &self.device.clone().autodiff());
        let optimizer = self.optimizers.build(self.config);
        let (state, resumed) = State::new(self.config, model, optimizer).resumed(self.directory)?;
        if resumed {
            on_event(PretrainEvent::Resumed {
                step: state.progress.step,
            });
        }
        Ok(state)
    }

    /// All steps that are left.
    fn train(
        &self,
        mut state: State,
        on_event: &mut dyn FnMut(PretrainEvent),
    ) -> Result<State, PretrainError> {
        let workers = Workers::new(self.config.shards, self.device)?;
        let mut batches = Batches::new(self.config, &self.tokenizer);
        let mut recent = Vec::with_capacity(LOG_EVERY);
        // Only where the curve has just been written, so that a resumed curve has no gap.
        let save_every = self.config.save_every.next_multiple_of(LOG_EVERY);
        let mut clock = Instant::now();
        while state.progress.step < self.config.steps {
            let batch = batches.at(state.progress.step)?;
            let (loss, gradients) = workers.loss_and_gradients(&state.model, batch);
            let rates = self.optimizers.rates(self.config, state.progress.step);
            state.model = state.optimizer.step(rates, state.model, gradients);
            state.progress.step += 1;
            let step = state.progress.step;
            recent.push(loss);
            on_event(PretrainEvent::Step { step, loss });
            if step.is_multiple_of(LOG_EVERY) {
                let loss = recent.iter().sum::<f64>() / recent.len() as f64;
                state.progress.curve.push(LossPoint { step, loss });
                recent.clear();
            }
            if step.is_multiple_of(save_every) && step < self.config.steps {
                state.progress.seconds += clock.elapsed().as_secs_f64();
                state.save(self.directory)?;
                self.probe(&state.model.valid(), step, on_event)?;
                clock = Instant::now();
            }
        }
        state.progress.seconds += clock.elapsed().as_secs_f64();
        Ok(state)
    }

    fn probe(
        &self,
        model: &T5,
        step: usize,
        on_event: &mut dyn FnMut(PretrainEvent),
    ) -> Result<BTreeMap<String, f64>, PretrainError> {
        let skills = skills(model, self.config, &self.tokenizer, self.device)?;
        on_event(PretrainEvent::Skills {
            step,
            skills: skills.clone(),
        });
        Ok(skills)
    }
}
