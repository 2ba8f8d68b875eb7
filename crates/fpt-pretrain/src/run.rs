//! A run, from the first weights to the files of a model.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use fpt_files::{
    Checkpoints, FreshDirectory, Lock, Owner, Waiting, Watch, create_directory, set_aside,
    with_causes, write_json,
};
use fpt_t5::{SaveOptions, T5};
use fpt_world::{tokenizer, write_tokenizer};
use tokenizers::Tokenizer;

use crate::batch::Batches;
use crate::drops::kept;
use crate::init::{go_on, initial};
use crate::optimizer::Optimizers;
use crate::probe::skills;
use crate::shards::Workers;
use crate::state::{FORMAT, State};
use crate::{Host, LossPoint, PretrainConfig, PretrainError, PretrainEvent, PretrainLog};

/// The log's name in the directory of a model.
const LOG: &str = "pretrain.json";
/// Steps a point of the loss curve stands for.
const LOG_EVERY: usize = 50;

/// Pre-train the scale model and write `config.json`, `model.safetensors`, the tokenizer's files and
/// `pretrain.json`, which names `host.revision` as the source that made it, into `host.out`. That directory appears when
/// all are complete; what lay there before is set aside.
///
/// A checkpoint is written into `host.state` every `save_every` steps, when the run is told to stop, and at its end; the
/// last two are kept. A run of the same configuration goes on from there and ends with the same weights, to the bit, as
/// one that was never interrupted.
///
/// # Errors
/// [`PretrainError`] if a file can't be read or written, if the checkpoints belong to another configuration or process,
/// and if the run is told to stop. That a checkpoint can't be written before the end is told, and no error.
pub fn pretrain(
    config: &PretrainConfig,
    host: &Host<'_>,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<PretrainLog, PretrainError> {
    let lock = claim(host, on_event)?;
    let run = Run {
        config,
        host,
        lock: &lock,
        checkpoints: Checkpoints::new(host.state, FORMAT),
        tokenizer: tokenizer()?,
        optimizers: Optimizers::new()?,
    };
    let state = run.start(on_event)?;
    let state = run.train(state, on_event)?;
    let model = state.model.valid();
    let log = PretrainLog {
        revision: host.revision.to_string(),
        config: config.clone(),
        start: start_log(config)?,
        parameters: model.num_params(),
        seconds: state.progress.seconds.round(),
        skills: run.probe(&model, state.progress.step, on_event)?,
        curve: state.progress.curve,
    };
    run.check_ours()?;
    publish(&model, &log, host.out, on_event)?;
    Ok(log)
}

/// The log beside the model that the run went on from, if there is one.
fn start_log(config: &PretrainConfig) -> Result<Option<Box<PretrainLog>>, PretrainError> {
    let Some(path) = config.start.as_ref().map(|start| start.join(LOG)) else {
        return Ok(None);
    };
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => {
            let log = read.map_err(|error| error.to_string());
            let log = log.and_then(|log| {
                serde_json::from_slice(&log).map_err(|error| format!("is no log: {error}"))
            });
            let log = log.map_err(|reason| PretrainError::Config { path, reason })?;
            Ok(Some(Box::new(log)))
        }
    }
}

/// The directory of the checkpoints for this process, once it is sure that the model can be written.
fn claim(host: &Host<'_>, on_event: &mut dyn FnMut(PretrainEvent)) -> Result<Lock, PretrainError> {
    let unusable = |reason: String| PretrainError::Config {
        path: host.out.to_path_buf(),
        reason,
    };
    if host.out.file_name().is_none() || (host.out.exists() && !host.out.is_dir()) {
        return Err(unusable("it is no directory for a model".into()));
    }
    create_directory(host.state)?;
    if let (Ok(out), Ok(state)) = (host.out.canonicalize(), host.state.canonicalize())
        && state.starts_with(out)
    {
        let state = host.state.display();
        return Err(unusable(format!(
            "the checkpoints in {state} lie within it"
        )));
    }
    // Not known only at the end.
    drop(FreshDirectory::beside(host.out)?);
    let mut goes_on = |waiting: &Waiting<'_>| {
        if waiting.news.is_some() {
            let message = format!("{} is in use: {waiting}", host.state.display());
            on_event(PretrainEvent::Warning { message });
        }
        !(host.stop)()
    };
    let mut watch = Watch::new(host.state);
    match watch.wait(Duration::ZERO, Watch::take, &mut goes_on)? {
        Owner::Nobody(Some(lock)) => Ok(lock),
        Owner::Nobody(None) => Err(unusable("its checkpoints can't be locked".into())),
        Owner::Unheard { .. } => Err(PretrainError::Stopped),
        Owner::Process(owner) => Err(PretrainError::Busy {
            path: host.state.to_path_buf(),
            owner,
        }),
    }
}

/// Write the files of the model.
fn publish(
    model: &T5,
    log: &PretrainLog,
    out: &Path,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<(), PretrainError> {
    let fresh = FreshDirectory::beside(out)?;
    model.save_pretrained(fresh.path(), SaveOptions::default())?;
    write_tokenizer(fresh.path())?;
    write_json(fresh.path().join(LOG), log)?;
    let holds_something = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if holds_something {
        let path = set_aside(out)?;
        on_event(PretrainEvent::SetAside { path });
    }
    Ok(fresh.publish(out)?)
}

/// What stays the same during a run.
struct Run<'a> {
    config: &'a PretrainConfig,
    host: &'a Host<'a>,
    /// Of the directory of the checkpoints.
    lock: &'a Lock,
    checkpoints: Checkpoints,
    tokenizer: Tokenizer,
    optimizers: Optimizers,
}

impl Run<'_> {
    /// The state of the last checkpoint, or the initial one.
    fn start(&self, on_event: &mut dyn FnMut(PretrainEvent)) -> Result<State, PretrainError> {
        let vocabulary = self.tokenizer.get_vocab_size(true);
        let device = self.host.device.clone().autodiff();
        let model = match &self.config.start {
            Some(start) => go_on(start, self.config, vocabulary, &device)?,
            None => initial(self.config, vocabulary, &device),
        };
        let optimizer = || self.optimizers.build(self.config);
        let read = |content: &[u8]| State::from_bytes(content, model.clone(), optimizer());
        let passed_over = |message| {
            on_event(PretrainEvent::Warning { message });
            Ok::<_, PretrainError>(())
        };
        let Some(state) = self.checkpoints.newest(read, passed_over)? else {
            return Ok(State::new(self.config, model, optimizer()));
        };
        if state.progress.config != *self.config {
            let path = self.host.state.to_path_buf();
            let reason = format!(
                "the checkpoints belong to another configuration; choose another --state, or delete {} to start anew",
                path.display()
            );
            return Err(PretrainError::Config { path, reason });
        }
        let step = state.progress.step;
        on_event(PretrainEvent::Resumed { step });
        Ok(state)
    }

    /// All steps that are left.
    fn train(
        &self,
        mut state: State,
        on_event: &mut dyn FnMut(PretrainEvent),
    ) -> Result<State, PretrainError> {
        let workers = Workers::new(self.config.shards, self.host.device)?;
        let mut batches = Batches::new(self.config, &self.tokenizer);
        let mut clock = Instant::now();
        let mut lap = || {
            std::mem::replace(&mut clock, Instant::now())
                .elapsed()
                .as_secs_f64()
        };
        while state.progress.step < self.config.steps {
            if (self.host.stop)() {
                state.progress.seconds += lap();
                self.save(&state)?;
                return Err(PretrainError::Stopped);
            }
            let batch = batches.at(state.progress.step)?;
            let kept = kept(self.config, state.model.config(), state.progress.step);
            let (loss, gradients) = workers.loss_and_gradients(&state.model, &kept, batch)?;
            let rates = self.optimizers.rates(self.config, state.progress.step);
            state.model = state.optimizer.step(rates, state.model, gradients);
            let progress = &mut state.progress;
            progress.step += 1;
            let step = progress.step;
            if !loss.is_finite() {
                return Err(PretrainError::Diverged { step });
            }
            progress.recent.push(loss);
            if step.is_multiple_of(LOG_EVERY) {
                let loss = progress.recent.iter().sum::<f64>() / progress.recent.len() as f64;
                progress.curve.push(LossPoint { step, loss });
                progress.recent.clear();
            }
            on_event(PretrainEvent::Step { step, loss });
            if step.is_multiple_of(self.config.save_every) && step < self.config.steps {
                state.progress.seconds += lap();
                self.try_save(&state, on_event)?;
                self.probe(&state.model.valid(), step, on_event)?;
                lap();
            }
        }
        state.progress.seconds += lap();
        // What is left to do may fail, or be stopped.
        self.try_save(&state, on_event)?;
        if (self.host.stop)() {
            return Err(PretrainError::Stopped);
        }
        Ok(state)
    }

    /// That the checkpoints still belong to this process.
    fn check_ours(&self) -> Result<(), PretrainError> {
        match self.lock.new_holder()? {
            None => Ok(()),
            Some(owner) => Err(PretrainError::Lost {
                path: self.host.state.to_path_buf(),
                owner,
            }),
        }
    }

    fn save(&self, state: &State) -> Result<(), PretrainError> {
        self.check_ours()?;
        state.save(&self.checkpoints)
    }

    /// Write a checkpoint; that there is no room for it is told, and no reason to end a run.
    fn try_save(
        &self,
        state: &State,
        on_event: &mut dyn FnMut(PretrainEvent),
    ) -> Result<(), PretrainError> {
        match self.save(state) {
            Err(PretrainError::File(error)) => {
                let message = format!("there is no checkpoint: {}", with_causes(&error));
                on_event(PretrainEvent::Warning { message });
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn probe(
        &self,
        model: &T5,
        step: usize,
        on_event: &mut dyn FnMut(PretrainEvent),
    ) -> Result<BTreeMap<String, f64>, PretrainError> {
        let skills = skills(model, self.config, &self.tokenizer, self.host.device)?;
        on_event(PretrainEvent::Skills {
            step,
            skills: skills.clone(),
        });
        Ok(skills)
    }
}
