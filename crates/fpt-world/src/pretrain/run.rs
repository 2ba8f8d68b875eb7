use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::store::RecordError;
use burn::tensor::{Device, Tensor};
use fpt_t5::{KvCache, SaveOptions, T5, cross_entropy};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use super::PretrainConfig;
use super::batch::{Batches, Encoded, TensorBatch};
use super::init::initial;
use super::optimizer::Optimizers;
use super::probe::skills;
use crate::{WorldError, tokenizer, write_tokenizer};

/// Steps a point of the loss curve stands for.
const LOG_EVERY: usize = 50;

/// A point of the loss curve: the mean over the steps before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps taken.
    pub step: usize,
    /// Mean training loss, nats a token.
    pub loss: f64,
}

/// What is kept beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainLog {
    /// Source revision that made the weights.
    pub revision: String,
    /// The configuration.
    pub config: PretrainConfig,
    /// Number of weights.
    pub parameters: usize,
    /// Wall-clock seconds, summed over all sittings.
    pub seconds: f64,
    /// Masked-token accuracy of each skill, percent.
    pub skills: BTreeMap<String, f64>,
    /// Training loss.
    pub curve: Vec<LossPoint>,
}

/// What a caller may show while it waits.
#[derive(Clone, Debug)]
pub enum PretrainEvent {
    /// An earlier state was found; training goes on after this step.
    Resumed {
        /// Steps already taken.
        step: usize,
    },
    /// A step was taken.
    Step {
        /// Steps taken.
        step: usize,
        /// Loss of the batch.
        loss: f64,
    },
    /// The skills were measured: at every saved state, and at the end.
    Skills {
        /// Steps taken.
        step: usize,
        /// Masked-token accuracy of each skill, percent.
        skills: BTreeMap<String, f64>,
    },
}

/// What `progress.json` holds beside the weights and the optimizer.
#[derive(Serialize, Deserialize)]
struct Progress {
    config: PretrainConfig,
    step: usize,
    seconds: f64,
    curve: Vec<LossPoint>,
}

/// Pre-train the scale model and write `config.json`, `model.safetensors`, the tokenizer's files and
/// `pretrain.json` into `out`.
///
/// The state is saved into `state` every `save_every` steps; a run with the same configuration goes on
/// from there and ends with the same weights, to the bit, as one that was never interrupted.
///
/// # Errors
/// [`WorldError`] if a file can't be read or written, or if `state` belongs to another configuration.
pub fn pretrain(
    config: &PretrainConfig,
    out: &Path,
    state: &Path,
    revision: &str,
    device: &Device,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<PretrainLog, WorldError> {
    let create = |path: &Path| std::fs::create_dir_all(path).map_err(WorldError::write(path));
    create(out)?;
    create(state)?;
    let tokenizer = tokenizer()?;
    let training = device.clone().autodiff();
    let optimizers = Optimizers::new()?;
    let mut optimizer = optimizers.build(config);
    let mut model = initial(config, tokenizer.get_vocab_size(true), &training);
    let mut progress = Progress {
        config: config.clone(),
        step: 0,
        seconds: 0.0,
        curve: Vec::new(),
    };
    if let Some((found, saved)) = read_state(state, config)? {
        let fail = |error: RecordError| WorldError::Train(error.to_string());
        model = model
            .try_load_file(saved.join("model.bpk"))
            .map_err(fail)?
            .train();
        optimizer = optimizer.load(saved.join("optimizer.bpk")).map_err(fail)?;
        progress = found;
        on_event(PretrainEvent::Resumed {
            step: progress.step,
        });
    }

    let probe = |model: &T5, step: usize, on_event: &mut dyn FnMut(PretrainEvent)| {
        let skills = skills(&model.valid(), config, &tokenizer, device)?;
        on_event(PretrainEvent::Skills {
            step,
            skills: skills.clone(),
        });
        Ok::<_, WorldError>(skills)
    };
    let workers = (0..config.shards)
        .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| WorldError::Train(error.to_string()))?;
    let mut batches = Batches::new(config, &tokenizer);
    let mut recent = Vec::with_capacity(LOG_EVERY);
    let mut clock = Instant::now();
    while progress.step < config.steps {
        let batch = batches.at(progress.step)?;
        let (loss, gradients) = loss_and_gradients(&model, batch, &workers, device);
        model = optimizer.step(optimizers.rates(config, progress.step), model, gradients);
        progress.step += 1;
        recent.push(loss);
        on_event(PretrainEvent::Step {
            step: progress.step,
            loss,
        });
        if progress.step.is_multiple_of(LOG_EVERY) {
            progress.curve.push(LossPoint {
                step: progress.step,
                loss: recent.iter().sum::<f64>() / recent.len() as f64,
            });
            recent.clear();
        }
        // Only where the curve has just been written, so that a resumed curve has no gap.
        let saves = config.save_every.next_multiple_of(LOG_EVERY);
        if progress.step.is_multiple_of(saves) && progress.step < config.steps {
            progress.seconds += clock.elapsed().as_secs_f64();
            save_state(state, &progress, &model, &optimizer)?;
            probe(&model, progress.step, on_event)?;
            clock = Instant::now();
        }
    }
    progress.seconds += clock.elapsed().as_secs_f64();

    let skills = probe(&model, progress.step, on_event)?;
    let model = model.valid();
    let log = PretrainLog {
        revision: revision.to_string(),
        config: config.clone(),
        parameters: model.num_params(),
        seconds: progress.seconds.round(),
        skills,
        curve: progress.curve,
    };
    model
        .save_pretrained(out, SaveOptions::default())
        .map_err(|error| WorldError::Train(error.to_string()))?;
    write_tokenizer(out)?;
    write_json(&out.join("pretrain.json"), &log)?;
    Ok(log)
}

/// Mean loss and summed gradients of a batch, a shard of it on each worker, added up in order.
///
/// A worker is a pool of one thread: the tensors here are too small to be worth splitting any further.
fn loss_and_gradients(
    model: &T5,
    batch: &[Encoded],
    workers: &[ThreadPool],
    device: &Device,
) -> (f64, GradientsParams) {
    let shards = workers.len();
    let parts: Vec<(f64, GradientsParams)> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter()
            .enumerate()
            .map(|(shard, worker)| {
                let model = model.clone().fork(&device.clone().autodiff());
                scope.spawn(move || {
                    worker.install(|| {
                        // Every shards-th example, as the batch is sorted by length.
                        let part: Vec<&Encoded> =
                            batch.iter().skip(shard).step_by(shards).collect();
                        let share = part.len() as f64 / batch.len() as f64;
                        let loss = loss(&model, TensorBatch::new(&part, device)) * share;
                        let mut gradients = loss.backward();
                        let gradients = GradientsParams::from_module(&mut gradients, &model);
                        (loss.into_scalar::<f64>(), gradients)
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    let mut sum = GradientsAccumulator::new();
    let mut total = 0.0;
    for (loss, gradients) in parts {
        total += loss;
        sum.accumulate(model, gradients);
    }
    (total, sum.grads())
}

fn loss(model: &T5, batch: TensorBatch) -> Tensor<1> {
    let encoded = model.encode(model.embed(batch.source), batch.mask);
    let inputs = model.shift_right(batch.labels.clone());
    let logits = model.decode(inputs, &encoded, &mut KvCache::new());
    cross_entropy(logits, batch.labels)
}

/// The newest complete state in `state` and its directory, if there is one.
fn read_state(
    state: &Path,
    config: &PretrainConfig,
) -> Result<Option<(Progress, PathBuf)>, WorldError> {
    let Some(saved) = saved_states(state)?.pop() else {
        return Ok(None);
    };
    let path = saved.join("progress.json");
    let text = std::fs::read_to_string(&path).map_err(WorldError::read(&path))?;
    let fail = |reason: String| WorldError::Config {
        path: path.clone(),
        reason,
    };
    let progress: Progress =
        serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    if progress.config != *config {
        return Err(fail(format!(
            "this state belongs to another configuration; delete {} to start anew",
            state.display()
        )));
    }
    Ok(Some((progress, saved)))
}

/// Directories of complete states, oldest first: their names sort by step.
fn saved_states(state: &Path) -> Result<Vec<PathBuf>, WorldError> {
    let entries = std::fs::read_dir(state).map_err(WorldError::read(state))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(WorldError::read(state))?;
        if entry.file_name().to_string_lossy().starts_with("step-") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Write a state into a directory of its own, give that its name only when it is complete, and drop the
/// states before it.
fn save_state(
    state: &Path,
    progress: &Progress,
    model: &T5,
    optimizer: &ModuleOptimizer,
) -> Result<(), WorldError> {
    let fail = |error: RecordError| WorldError::Train(error.to_string());
    let old = saved_states(state)?;
    let partial = state.join("partial");
    match std::fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(WorldError::write(&partial)(error));
        }
        _ => {}
    }
    std::fs::create_dir(&partial).map_err(WorldError::write(&partial))?;
    model
        .clone()
        .save_file(partial.join("model.bpk"))
        .map_err(fail)?;
    optimizer
        .save(partial.join("optimizer.bpk"))
        .map_err(fail)?;
    write_json(&partial.join("progress.json"), progress)?;
    let complete = state.join(format!("step-{:08}", progress.step));
    std::fs::rename(&partial, &complete).map_err(WorldError::write(&complete))?;
    for path in old {
        std::fs::remove_dir_all(&path).map_err(WorldError::write(&path))?;
    }
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), WorldError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| WorldError::Train(error.to_string()))?;
    Ok(fpt_files::write(path, text + "\n")?)
}
