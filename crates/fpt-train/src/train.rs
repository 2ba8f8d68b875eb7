//! A run from its configuration to its directory.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use fpt_partial::shape;

use crate::inputs::{Inputs, Session};
use crate::record::{Event, Log, RunResult};
use crate::run_dir::RunDir;
use crate::state::State;
use crate::trainer::Trainer;
use crate::{Host, Plan, RunConfig, TrainError, finish};

/// Train a prompt for a frozen model, in the stages of its schedule, and leave a run directory at `out`:
/// `config.toml`, `inputs.json` (what was read, by content), `selections.json` (what each stage kept of the model),
/// `metrics.jsonl`, `adapter/` (the prompt that was best on dev, as a PEFT adapter), `predictions.<split>.jsonl` and
/// `result.json`. Until the run is complete the directory is called `<out>.partial`; it belongs to one process. What
/// other runs can use again is kept in `cache`: scores of neurons and heads, and the tokens of large data, under names
/// with a hash of all that they depend on.
///
/// # Errors
/// [`TrainError`]. A run that fails after its first metrics leaves them in `<out>.partial`
/// ([`TrainError::Failed`]), others leave nothing.
pub fn train(
    config: &RunConfig,
    out: &Path,
    cache: &Path,
    host: &Host,
    device: &Device,
    listener: &mut dyn FnMut(&Event),
) -> Result<RunResult, TrainError> {
    let directory = RunDir::create(out, config)?;
    let mut log = directory.log(listener)?;
    match execute(config, &directory, cache, host, device, &mut log) {
        Ok(result) => {
            log.emit(Event::Finished {
                result: Box::new(result.clone()),
            })?;
            Ok(result)
        }
        Err(error) => {
            let has_metrics = !log.is_empty();
            Err(directory.fail(error, has_metrics))
        }
    }
}

fn execute(
    config: &RunConfig,
    directory: &RunDir,
    cache: &Path,
    host: &Host,
    device: &Device,
    log: &mut Log<'_>,
) -> Result<RunResult, TrainError> {
    let start = Instant::now();
    let session = Session::load(config, host.find_model, device)?;
    let plan = Plan::new(config, &*session.task, &shape(session.model.config()))?;
    let inputs = Inputs::load(session, &plan, cache, start, log)?;
    directory.write_json("inputs.json", &inputs.fingerprints)?;
    directory.write_json("selections.json", &inputs.selections)?;

    let device = inputs.session.compute.training_device();
    let prompt = inputs.session.fresh_prompt(config.seed, &device)?;
    let mut state = State::new(prompt, &config.train);
    let trainer = Trainer {
        plan: &plan,
        inputs: &inputs,
    };
    let no_prompt = trainer.without_prompt(&mut state, log)?;
    let last = trainer.run(&mut state, log)?;
    let result = finish::finish(&trainer, &last, state, no_prompt, host, directory, log)?;
    directory.finish(&result)?;
    Ok(result)
}
