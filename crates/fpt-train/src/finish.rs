//! The end of a run: the best prompt's scores on all of dev and of the reported split, its adapter, its answers.

use std::time::{SystemTime, UNIX_EPOCH};

use fpt_files::without_revision;
use fpt_prompt::{AdapterInfo, save_adapter};
use fpt_tasks::{Example, Split};

use crate::record::{Log, Purpose, RunResult};
use crate::run_dir::{RunDir, predictions_file};
use crate::state::{Best, State};
use crate::trainer::{Stage, Trainer, no_steps};
use crate::{EvalModel, Host, TrainError};

/// Score the best prompt, write it and its answers into `directory`, and sum the run up.
pub(crate) fn finish(
    trainer: &Trainer<'_>,
    last: &Stage<'_>,
    state: &mut State,
    host: &Host,
    directory: &RunDir,
    log: &mut Log<'_>,
) -> Result<RunResult, TrainError> {
    let (plan, inputs) = (trainer.plan, trainer.inputs);
    let config = &inputs.session.config;
    let full = &inputs.session.model;
    // The last step is always evaluated.
    let Best { step, prompt, .. } = state.best.clone().ok_or_else(no_steps)?;
    let judged = trainer.judged(last);
    let all = usize::MAX;
    let prompt_of = Some(&prompt);
    let dev = trainer.score(judged, prompt_of, &inputs.dev, all, state, log)?;
    let (reported, answers) =
        trainer.answer(judged, prompt_of, &inputs.reported, all, state, log)?;
    let reported_full = if plan.evaluated == EvalModel::Stage && !plan.ends_full() {
        Some(trainer.score(full, prompt_of, &inputs.reported, all, state, log)?)
    } else {
        None
    };

    let info = AdapterInfo {
        // Revisions of the hub are no part of a name in PEFT.
        base_model: without_revision(&config.model.to_string_lossy()).to_string(),
        num_attention_heads: full.config().num_heads,
        num_layers: full.config().num_layers,
        init: config.prompt.init.kind(),
    };
    directory.check_ours()?;
    let adapter = directory.path().join("adapter");
    save_adapter(&prompt, &info, &adapter)?;
    write_predictions(directory, plan.report, inputs.reported.examples(), &answers)?;

    let mut seconds = inputs.seconds;
    seconds.train = state.counters.training.as_secs_f64();
    seconds.evaluate = state.counters.evaluating.as_secs_f64();
    seconds.cpu = (host.cpu_seconds)();
    let result = RunResult {
        task: config.task.clone(),
        method: config.schedule.label(),
        seed: config.seed,
        metric: reported.primary.clone(),
        split: plan.report,
        baseline: inputs.baseline.clone(),
        no_prompt: state.counters.no_prompt.clone(),
        dev,
        reported,
        evaluated: plan.evaluated,
        reported_full,
        best_step: step,
        steps: state.counters.step,
        skipped_batches: state.counters.skipped_batches,
        final_loss: state.final_loss(),
        stages: state.counters.stages.clone(),
        flops: state.counters.flops,
        seconds,
        peak_memory: (host.peak_memory)(),
        revision: host.revision.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        device: host.device.clone(),
        processor: (host.processor)(),
        finished_seconds: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|since| since.as_secs()),
    };
    let purpose = Purpose::of(config, &*inputs.session.task);
    purpose.write(&adapter, &info.base_model, &result)?;
    Ok(result)
}

/// `predictions.<split>.jsonl`: id and answer, a line an example.
fn write_predictions(
    directory: &RunDir,
    split: Split,
    examples: &[Example],
    answers: &[String],
) -> Result<(), TrainError> {
    let mut lines = String::new();
    for (example, answer) in examples.iter().zip(answers) {
        let line = serde_json::json!({ "id": example.id, "prediction": answer });
        lines.push_str(&format!("{line}\n"));
    }
    directory.write(&predictions_file(split), lines.as_bytes())
}
