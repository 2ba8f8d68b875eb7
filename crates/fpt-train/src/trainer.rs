use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use fpt_prompt::{AdapterInfo, InitKind, PromptInit, SoftPrompt, save_adapter};
use fpt_t5::{KvCache, cross_entropy, prepend_visible};
use fpt_tasks::{Scores, Split, TokenBatch, TrainBatches, Warnings, task};
use serde::{Deserialize, Serialize};

use crate::{
    BaselineScore, Host, MetricRecord, RunConfig, RunDir, RunResult, Seconds, Session, TrainError,
    adafactor, batch_tensors,
};

/// What happens during a run, for progress bars and logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Model and data are there.
    Loaded {
        /// Optimizer steps to come.
        steps: usize,
        /// Examples that will be evaluated in all.
        evaluations: usize,
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

/// Train a prompt for a frozen model and leave a run directory at `out`: `config.toml`, `metrics.jsonl`,
/// `adapter/` (the prompt that was best on dev, as a PEFT adapter), `predictions.test.jsonl` and
/// `result.json`. The directory appears only when the run is complete.
///
/// # Errors
/// [`TrainError`]; then nothing is left behind.
pub fn train(
    config: &RunConfig,
    out: &Path,
    host: &Host,
    device: &Device,
    on_event: &mut dyn FnMut(Event),
) -> Result<RunResult, TrainError> {
    let mut directory = RunDir::create(out, config)?;

    // Model and data.
    let start = Instant::now();
    let session = Session::load(config, device)?;
    let (train, dev, test) = (
        session.read(Split::Train)?,
        session.read(Split::Dev)?,
        session.read(Split::Test)?,
    );
    let baseline = task(config.task).baseline(train.examples(), test.examples())?;
    let baseline = BaselineScore {
        name: baseline.name.to_string(),
        value: baseline.value(),
    };
    let steps = config.train.steps;
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
        evaluations: steps.div_ceil(config.eval.every) * dev_limit
            + dev.tokens.len()
            + 2 * test.tokens.len(),
        warnings: [&train, &dev, &test]
            .iter()
            .filter_map(|data| describe(&data.dataset.warnings))
            .collect(),
    });

    let evaluate = |prompt: Option<&SoftPrompt>, data, limit, on_event: &mut dyn FnMut(Event)| {
        let clock = Instant::now();
        let mut progress = |examples| on_event(Event::Evaluated { examples });
        let (scores, answers) = session.evaluate(prompt, data, limit, &mut progress)?;
        Ok::<_, TrainError>((scores, answers, clock.elapsed()))
    };
    let (no_prompt, _, took) = evaluate(None, &test, usize::MAX, on_event)?;
    seconds.evaluate += took.as_secs_f64();
    on_event(Event::NoPrompt {
        test: no_prompt.clone(),
    });

    // The prompt is the only thing on the autodiff device: the model gets no gradients.
    let training_device = device.clone().autodiff();
    let mut prompt = config.prompt.init.prompt(
        config.prompt.length,
        &session.model,
        config.seed,
        |text| session.tokenizer.encode(text),
        &training_device,
    )?;
    let mut optimizer = adafactor(&config.train);
    let lengths = train.tokens.iter().map(|e| e.source.len()).collect();
    let batches = TrainBatches::new(lengths, config.train.batch_size, config.seed)?;

    let mut best: Option<(f64, usize, SoftPrompt)> = None;
    let mut losses = Vec::with_capacity(steps);
    let mut training = Duration::ZERO;
    for step in 1..=steps {
        let clock = Instant::now();
        let batch = TokenBatch::new(
            &train.tokens,
            batches.indices(step - 1),
            config.lengths.pad_to,
        );
        let (loss, gradients) = loss_and_gradient(&session, &prompt, &batch, device);
        let gradient_norm = gradient_norm(&prompt, &gradients);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        prompt = optimizer.step(config.train.learning_rate, prompt, gradients);
        training += clock.elapsed();
        losses.push(loss);
        let record = MetricRecord::Step {
            step,
            loss,
            gradient_norm,
            seconds: training.as_secs_f64(),
        };
        directory.metric(&record)?;
        on_event(Event::Metric(record));

        if step.is_multiple_of(config.eval.every) || step == steps {
            let candidate = prompt.valid();
            let (dev_scores, _, took) = evaluate(Some(&candidate), &dev, dev_limit, on_event)?;
            seconds.evaluate += took.as_secs_f64();
            let mean = dev_scores.mean();
            let is_best = best.as_ref().is_none_or(|(score, _, _)| mean > *score);
            let record = MetricRecord::Eval {
                step,
                examples: dev_limit,
                dev: dev_scores,
                best: is_best,
            };
            if is_best {
                best = Some((mean, step, candidate));
            }
            directory.metric(&record)?;
            on_event(Event::Metric(record));
        }
    }
    seconds.train = training.as_secs_f64();

    // `steps` is at least 1, and the last step is always evaluated.
    let Some((_, best_step, prompt)) = best else {
        return Err(TrainError::Value {
            key: "train.steps",
            reason: "must be at least 1".into(),
        });
    };
    let (dev_scores, _, took_dev) = evaluate(Some(&prompt), &dev, usize::MAX, on_event)?;
    let (test_scores, answers, took_test) = evaluate(Some(&prompt), &test, usize::MAX, on_event)?;
    seconds.evaluate += (took_dev + took_test).as_secs_f64();

    let info = AdapterInfo {
        base_model: config.model.display().to_string(),
        num_attention_heads: session.model.config().num_heads,
        num_layers: session.model.config().num_layers,
        init: match config.prompt.init {
            PromptInit::Uniform => InitKind::Random,
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
        task: config.task,
        seed: config.seed,
        metric: test_scores.primary.clone(),
        baseline,
        no_prompt,
        dev: dev_scores,
        test: test_scores,
        best_step,
        steps,
        final_loss: last_tenth.iter().sum::<f64>() / last_tenth.len() as f64,
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

/// Teacher-forced loss of a batch, and its gradient with respect to the prompt.
fn loss_and_gradient(
    session: &Session,
    prompt: &SoftPrompt,
    batch: &TokenBatch,
    device: &Device,
) -> (f64, GradientsParams) {
    let model = &session.model;
    let (source, mask, labels) = batch_tensors(batch, device);
    let [length, _] = prompt.shape();
    let encoded = model.encode(
        prompt.prepend(model.embed(source)),
        prepend_visible(mask, length),
    );
    let inputs = model.shift_right(labels.clone());
    let logits = model.decode(inputs, &encoded, &mut KvCache::new());
    let loss = cross_entropy(logits, labels);
    let mut gradients = loss.backward();
    let gradients = GradientsParams::from_module(&mut gradients, prompt);
    (loss.into_scalar::<f64>(), gradients)
}

fn gradient_norm(prompt: &SoftPrompt, gradients: &GradientsParams) -> f64 {
    match gradients.get::<2>(prompt.weight.id) {
        Some(gradient) => gradient.square().sum().sqrt().into_scalar::<f64>(),
        None => 0.0,
    }
}

/// A line about a file's oddities, or nothing.
fn describe(warnings: &Warnings) -> Option<String> {
    let text = warnings.to_string();
    (!text.is_empty()).then_some(text)
}
