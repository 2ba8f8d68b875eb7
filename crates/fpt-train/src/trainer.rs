use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use fpt_partial::{PartialSize, partial, shape};
use fpt_prompt::{AdapterInfo, InitKind, PromptInit, SoftPrompt, save_adapter};
use fpt_schedule::cost::{BatchShape, true_macs};
use fpt_t5::T5;
use fpt_tasks::{Scores, Split, TokenBatch, TokenizedExample, TrainBatches, Warnings, cut};
use serde::{Deserialize, Serialize};

use crate::plan::{selections, weight_bytes};
use crate::{
    BaselineScore, EvalModel, Host, MetricRecord, RunConfig, RunDir, RunResult, Seconds, Session,
    StageRecord, Step, TrainError, adafactor,
};

/// What happens during a run, for progress bars and logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Examples of large data were tokenized.
    Tokenized {
        /// Of which split.
        split: Split,
        /// How many so far.
        examples: usize,
        /// Of how many.
        of: usize,
    },
    /// Model and data are there.
    Loaded {
        /// Optimizer steps to come.
        steps: usize,
        /// What was odd about the data, a line a file.
        warnings: Vec<String>,
    },
    /// The frozen model without a prompt was evaluated on test.
    NoPrompt {
        /// The scores.
        test: Scores,
    },
    /// Examples were evaluated.
    Evaluated {
        /// How many more.
        examples: usize,
    },
    /// The run is finished.
    Finished {
        /// Its outcome.
        result: Box<RunResult>,
    },
    /// A line of `metrics.jsonl`.
    #[serde(untagged)]
    Metric(MetricRecord),
}

/// Train a prompt for a frozen model, in the stages of its schedule, and leave a run directory at `out`:
/// `config.toml`, `selections.json` (what each stage kept of the model), `metrics.jsonl`, `adapter/` (the prompt
/// that was best on dev, as a PEFT adapter), `predictions.test.jsonl` and `result.json`. The directory appears
/// only when the run is complete. What other runs can use again is kept in `cache`: scores of neurons and heads, and the
/// tokens of large data, under names with a hash of all that they depend on.
///
/// # Errors
/// [`TrainError`]; then nothing is left behind.
pub fn train(
    config: &RunConfig,
    out: &Path,
    cache: &Path,
    host: &Host,
    device: &Device,
    on_event: &mut dyn FnMut(Event),
) -> Result<RunResult, TrainError> {
    let mut directory = RunDir::create(out, config)?;

    // Model, schedule and data.
    let start = Instant::now();
    let session = Session::load(config, host.find_model, device)?;
    let full = &session.model;
    let schedule = config.resolve_schedule(full.config())?;
    let evaluated = config.evaluated(&schedule, full.config());
    let is_reference = config.is_reference(&schedule, full.config());
    let mut tokenized = |split, examples, of| {
        on_event(Event::Tokenized {
            split,
            examples,
            of,
        });
    };
    let (train, dev, test) = (
        session.read_cached(Split::Train, cache, &mut tokenized)?,
        session.read_cached(Split::Dev, cache, &mut tokenized)?,
        session.read_reported(cache, &mut tokenized)?,
    );
    let baseline = session.task.baseline(train.examples(), test.examples())?;
    let baseline = BaselineScore {
        name: baseline.name.to_string(),
        value: baseline.value(),
    };
    let steps = schedule.steps();
    let dev_limit = config
        .eval
        .dev_examples
        .unwrap_or(usize::MAX)
        .min(dev.tokens.len());
    let mut seconds = Seconds {
        load: start.elapsed().as_secs_f64(),
        ..Seconds::default()
    };
    on_event(Event::Loaded {
        steps,
        warnings: [&train, &dev, &test]
            .iter()
            .filter_map(|data| describe(&data.dataset.warnings))
            .collect(),
    });
    let start = Instant::now();
    let selections = selections(&session, &schedule, &train, &dev, cache)?;
    directory.write_json("selections.json", &selections)?;
    seconds.score = start.elapsed().as_secs_f64();

    let mut evaluating = Duration::ZERO;
    let mut evaluate =
        |model: &T5, prompt: Option<&SoftPrompt>, data, limit, on_event: &mut dyn FnMut(Event)| {
            let clock = Instant::now();
            let mut progress = |examples| on_event(Event::Evaluated { examples });
            let outcome = session.evaluate(model, prompt, data, limit, &mut progress)?;
            evaluating += clock.elapsed();
            Ok::<_, TrainError>(outcome)
        };
    let mut no_prompt = None;
    if is_reference {
        let (test, _) = evaluate(full, None, &test, usize::MAX, on_event)?;
        on_event(Event::NoPrompt { test: test.clone() });
        no_prompt = Some(test);
    }

    // The prompt is the only thing on the autodiff device: the model gets no gradients. Prompt and optimizer are
    // all that survives a stage.
    let training_device = device.clone().autodiff();
    let mut prompt = session.fresh_prompt(config.seed, &training_device)?;
    let mut optimizer = adafactor(&config.train);
    let lengths = train.tokens.iter().map(|e| e.source.len()).collect();
    let batches = TrainBatches::new(lengths, config.train.batch_limits(), config.seed)?;

    let mut best: Option<(f64, usize, SoftPrompt)> = None;
    let mut losses = Vec::with_capacity(steps);
    let mut stages = Vec::new();
    let mut training = Duration::ZERO;
    let (mut step, mut flops) = (0, 0.0);
    let mut model = full.clone();
    for (number, (stage, selection)) in schedule.stages().iter().zip(&selections).enumerate() {
        let clock = Instant::now();
        model = partial(full, selection)?;
        let expansion = clock.elapsed();
        let (started, flops_before) = (training, flops);
        training += expansion;
        if number > 0 && config.train.reset_prompt {
            prompt = session.fresh_prompt(config.seed, &training_device)?;
        }
        if number > 0 && config.train.reset_optimizer {
            optimizer = adafactor(&config.train);
        }
        if evaluated == EvalModel::Stage {
            // Scores on another model can't be compared with this one's.
            best = None;
        }
        let mut last_eval = None;
        let tokens = shorten(&train.tokens, stage.max_source);
        let record = MetricRecord::Stage {
            stage: number,
            step,
            size: stage.size,
        };
        directory.metric(&record)?;
        on_event(Event::Metric(record));

        for _ in 0..stage.steps {
            let clock = Instant::now();
            let batch = TokenBatch::new(&tokens, batches.indices(step), config.lengths.pad_to);
            let Step {
                loss,
                gradient_norm,
                gradients,
                forward_macs,
            } = Step::new(&model, &prompt, &batch, device);
            step += 1;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step, loss });
            }
            prompt = optimizer.step(config.train.learning_rate, prompt, gradients);
            training += clock.elapsed();
            flops +=
                2.0 * (forward_macs + backward_macs(full, &stage.size, &prompt, &batch)) as f64;
            losses.push(loss);
            let record = MetricRecord::Step {
                step,
                loss,
                gradient_norm,
                seconds: training.as_secs_f64(),
                flops,
            };
            directory.metric(&record)?;
            on_event(Event::Metric(record));

            if step.is_multiple_of(config.eval.every) || step == steps {
                let candidate = prompt.valid();
                let judge = evaluated.of(full, &model);
                let (scores, _) = evaluate(judge, Some(&candidate), &dev, dev_limit, on_event)?;
                let mean = scores.mean();
                last_eval = Some((step, scores.clone()));
                let is_best = best.as_ref().is_none_or(|(score, _, _)| mean > *score);
                let on_test = match is_best && is_reference {
                    true => {
                        let (scores, _) =
                            evaluate(judge, Some(&candidate), &test, usize::MAX, on_event)?;
                        Some(scores)
                    }
                    false => None,
                };
                let record = MetricRecord::Eval {
                    step,
                    examples: dev_limit,
                    dev: scores,
                    best: is_best,
                    flops,
                    test: on_test,
                };
                if is_best {
                    best = Some((mean, step, candidate));
                }
                directory.metric(&record)?;
                on_event(Event::Metric(record));
            }
        }

        let mut stage_dev = None;
        if !selection.is_full(full.config()) {
            let dev = match last_eval {
                Some((at, scores)) if at == step && evaluated == EvalModel::Stage => scores,
                _ => evaluate(&model, Some(&prompt.valid()), &dev, dev_limit, on_event)?.0,
            };
            let record = MetricRecord::StageEnd {
                stage: number,
                step,
                dev: dev.clone(),
            };
            directory.metric(&record)?;
            on_event(Event::Metric(record));
            stage_dev = Some(dev);
        }
        stages.push(StageRecord {
            size: stage.size,
            steps: stage.steps,
            flops: flops - flops_before,
            seconds: (training - started - expansion).as_secs_f64(),
            expansion_seconds: expansion.as_secs_f64(),
            weight_bytes: weight_bytes(&session, &stage.size),
            dev: stage_dev,
        });
    }
    seconds.train = training.as_secs_f64();

    // A schedule has at least one step, and the last step is always evaluated.
    let Some((_, best_step, prompt)) = best else {
        return Err(TrainError::Value {
            key: "train.steps",
            reason: "must be at least 1".into(),
        });
    };
    let judge = evaluated.of(full, &model);
    let (dev_scores, _) = evaluate(judge, Some(&prompt), &dev, usize::MAX, on_event)?;
    let (test_scores, answers) = evaluate(judge, Some(&prompt), &test, usize::MAX, on_event)?;
    let ends_full = selections.last().is_none_or(|s| s.is_full(full.config()));
    let test_full = match evaluated == EvalModel::Stage && !ends_full {
        true => Some(evaluate(full, Some(&prompt), &test, usize::MAX, on_event)?.0),
        false => None,
    };
    seconds.evaluate = evaluating.as_secs_f64();

    let info = AdapterInfo {
        // Revisions of the hub are no part of a name in PEFT.
        base_model: match config.model.to_string_lossy().split_once('@') {
            Some((name, _)) => name.to_string(),
            None => config.model.display().to_string(),
        },
        num_attention_heads: full.config().num_heads,
        num_layers: full.config().num_layers,
        init: match config.prompt.init {
            PromptInit::Uniform | PromptInit::Adapter { .. } => InitKind::Random,
            PromptInit::SampledVocabulary { .. } => InitKind::SampleVocab,
            PromptInit::Text { .. } => InitKind::Text,
        },
    };
    save_adapter(&prompt, &info, directory.path().join("adapter"))?;
    let mut lines = String::new();
    for (example, answer) in test.examples().iter().zip(&answers) {
        let line = serde_json::json!({ "id": example.id, "prediction": answer });
        lines.push_str(&format!("{line}\n"));
    }
    directory.write("predictions.test.jsonl", lines.as_bytes())?;

    let last_tenth = &losses[steps - steps.div_ceil(10)..];
    let result = RunResult {
        task: config.task.clone(),
        method: config.schedule.label(),
        seed: config.seed,
        metric: test_scores.primary.clone(),
        baseline,
        no_prompt,
        dev: dev_scores,
        test: test_scores,
        evaluated,
        test_full,
        best_step,
        steps,
        final_loss: last_tenth.iter().sum::<f64>() / last_tenth.len() as f64,
        stages,
        flops,
        seconds,
        peak_memory: (host.peak_memory)(),
        revision: host.revision.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        device: host.device.clone(),
    };
    directory.finish(&result)?;
    on_event(Event::Finished {
        result: Box::new(result.clone()),
    });
    Ok(result)
}

impl EvalModel {
    /// The one of the two that is evaluated.
    fn of<'a>(self, full: &'a T5, stage: &'a T5) -> &'a T5 {
        match self {
            Self::Full => full,
            Self::Stage => stage,
        }
    }
}

/// The multiply-accumulates of a backward pass. The forward pass is counted as it runs; nothing sees the
/// backward pass, so its count follows from the shapes.
fn backward_macs(full: &T5, size: &PartialSize, prompt: &SoftPrompt, batch: &TokenBatch) -> u64 {
    let batch = BatchShape {
        rows: batch.size,
        source: batch.source_len,
        target: batch.target_len,
        prompt: prompt.shape()[0],
    };
    true_macs(&shape(full.config()), size, &batch).backward
}

/// `tokens` with sources of at most `max_source` tokens, where a stage limits them.
fn shorten(tokens: &[TokenizedExample], max_source: Option<usize>) -> Cow<'_, [TokenizedExample]> {
    let Some(max) = max_source else {
        return Cow::Borrowed(tokens);
    };
    let short = |example: &TokenizedExample| TokenizedExample {
        source: cut(example.source.clone(), max),
        target: example.target.clone(),
    };
    Cow::Owned(tokens.iter().map(short).collect())
}

/// A line about a file's oddities, or nothing.
fn describe(warnings: &Warnings) -> Option<String> {
    let text = warnings.to_string();
    (!text.is_empty()).then_some(text)
}
