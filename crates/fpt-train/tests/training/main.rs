//! The loop, run in process: stages, expansion, resets, the best prompt, numbers that go wrong.
#![allow(clippy::unwrap_used)]

mod evaluations;
mod nonfinite;
mod parts;
mod resume;

use std::fs;

use burn::module::Param;
use burn::tensor::Device;
use fpt_lab::Lab;
use fpt_t5::{SaveOptions, T5};
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{
    Conduct, Event, Experiment, FinishedRun, Host, MetricRecord, RunResult, TrainError,
    model_directory, train,
};

/// A run of MNLI in `lab`, in the directory `out`, and the events that it told.
fn run(lab: &Lab, out: &str, settings: &[&str]) -> (Result<RunResult, TrainError>, Vec<Event>) {
    let mut events = Vec::new();
    let mut listener = |event: &Event| events.push(event.clone());
    let result = run_on(lab, out, settings, &[Device::flex()], &mut listener);
    (result, events)
}

/// The same on these devices, with this listener.
fn run_on(
    lab: &Lab,
    out: &str,
    settings: &[&str],
    devices: &[Device],
    listener: &mut dyn FnMut(&Event),
) -> Result<RunResult, TrainError> {
    let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
    let config = experiment.run(&TaskName::MNLI, 0, &settings).unwrap();
    let host = Host {
        revision: "none".into(),
        device: "cpu".into(),
        processor: || None,
        cpu_seconds: || None,
        peak_memory: || None,
        tasks: Tasks::paper(),
        find_model: model_directory,
        conduct: Conduct::default(),
    };
    let (out, cache) = (lab.path(out), lab.path("cache"));
    train(&config, &out, &cache, &host, devices, listener)
}

fn finished(lab: &Lab, out: &str, settings: &[&str]) -> (RunResult, Vec<Event>) {
    let (result, events) = run(lab, out, settings);
    (result.unwrap(), events)
}

/// Loss and FLOPs so far of each step.
fn steps(events: &[Event]) -> Vec<(f64, f64)> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Metric(MetricRecord::Step { loss, flops, .. }) => Some((*loss, *flops)),
        _ => None,
    });
    steps.collect()
}

fn adapter(lab: &Lab, out: &str) -> Vec<u8> {
    fs::read(lab.path(out).join("adapter/adapter_model.safetensors")).unwrap()
}

/// Change the shipped model in `lab`.
fn change_model(lab: &Lab, change: impl FnOnce(&mut T5)) {
    let mut model = T5::from_pretrained(lab.path("model"), &Device::flex()).unwrap();
    change(&mut model);
    let options = SaveOptions::default();
    model.save_pretrained(lab.path("model"), options).unwrap();
}

/// Let the shipped model in `lab` have logits that are so many times larger.
fn scale_head(lab: &Lab, factor: f64) {
    change_model(lab, |model| {
        let head = model.lm_head.as_mut().unwrap();
        head.weight = Param::from_tensor(head.weight.val() * factor);
    });
}

#[test]
fn training_without_success_ends_with_its_patience() {
    let lab = Lab::new();
    let still = ["train.learning_rate=1e-30", "train.steps=9", "eval.every=1"];
    let patient = [&still[..], &["train.patience=2"]].concat();
    let (result, events) = finished(&lab, "plain", &patient);
    // The first evaluation is the best, the two after it are no better.
    assert_eq!((result.steps, result.best_step), (3, 1));
    assert_eq!(result.stages[0].steps, 3);
    assert_eq!(steps(&events).len(), 3);

    // Partial stages are no matter of patience: what they are to teach shows after them.
    let stages = "schedule.stages=[{steps=5, layers=2}, {}]";
    let (result, _) = finished(&lab, "stages", &[&patient[..], &[stages]].concat());
    let taken: Vec<usize> = result.stages.iter().map(|stage| stage.steps).collect();
    assert_eq!(taken, [5, 2]);
}

#[test]
fn a_mean_of_prompts_is_what_is_judged_and_kept() {
    let lab = Lab::new();
    let settings = ["train.steps=4", "eval.every=4"];
    let with = |average: &'static str| [&settings[..], &[average]].concat();
    let (plain, _) = finished(&lab, "plain", &settings);
    let (averaged, _) = finished(
        &lab,
        "averaged",
        &with("train.average={kind=\"exponential\", decay=0.9}"),
    );
    // The prompt itself goes on as it would.
    assert_eq!(plain.final_loss, averaged.final_loss);
    assert!(adapter(&lab, "plain") != adapter(&lab, "averaged"));
    // A mean of one is no mean.
    finished(
        &lab,
        "one",
        &with("train.average={kind=\"evaluations\", last=1}"),
    );
    assert!(adapter(&lab, "plain") == adapter(&lab, "one"));
}

#[test]
fn stages_follow_each_other_in_the_order_of_the_schedule() {
    let lab = Lab::new();
    let settings = [
        "schedule.method=fpt-cr",
        "schedule.partial_steps=[2, 1, 1]",
        "train.steps=6",
        "eval.every=3",
    ];
    let (result, events) = finished(&lab, "run", &settings);
    let told: Vec<String> = events
        .iter()
        .map(|event| match event {
            Event::Loaded { steps, .. } => format!("loaded {steps}"),
            Event::Metric(MetricRecord::Stage { stage, step, size }) => {
                format!("stage {stage} from {step}: {}", size.encoder.layers)
            }
            Event::Metric(MetricRecord::Step { step, .. }) => format!("step {step}"),
            Event::Metric(MetricRecord::Eval { step, .. }) => format!("eval {step}"),
            Event::Metric(MetricRecord::StageEnd { stage, step, .. }) => {
                format!("end of {stage} at {step}")
            }
            Event::Finished { .. } => "finished".into(),
            Event::Evaluated { .. } => String::new(),
            other => format!("{other:?}"),
        })
        .filter(|told| !told.is_empty())
        .collect();
    assert_eq!(
        told,
        [
            "loaded 6",
            "stage 0 from 0: 3",
            "step 1",
            "step 2",
            "end of 0 at 2",
            "stage 1 from 2: 6",
            "step 3",
            "eval 3",
            "end of 1 at 3",
            "stage 2 from 3: 9",
            "step 4",
            "end of 2 at 4",
            "stage 3 from 4: 12",
            "step 5",
            "step 6",
            "eval 6",
            "finished",
        ]
    );
    let taken: Vec<usize> = result.stages.iter().map(|stage| stage.steps).collect();
    assert_eq!(taken, [2, 1, 1, 2]);

    // What was told is what stands in the file, but for what is no metric.
    let metrics: Vec<MetricRecord> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Metric(record) => Some(record),
            _ => None,
        })
        .collect();
    let written = FinishedRun::read(lab.path("run")).unwrap();
    assert_eq!(written.metrics().unwrap(), metrics);
    assert_eq!(written.result, result);
}

#[test]
fn an_expansion_carries_prompt_and_optimizer_unless_they_are_reset() {
    let lab = Lab::new();
    let two = "schedule.stages=[{steps=2}, {}]";
    let four = "train.steps=4";
    let (_, whole) = finished(&lab, "whole", &[four]);
    let (_, parts) = finished(&lab, "parts", &[four, two]);
    assert_eq!(steps(&whole), steps(&parts));
    assert_eq!(adapter(&lab, "whole"), adapter(&lab, "parts"));

    // The prompt starts afresh: as one that was never moved.
    let (_, still) = finished(&lab, "still", &[four, "train.learning_rate=1e-30"]);
    let (_, reset) = finished(&lab, "prompt", &[four, two, "train.reset_prompt=true"]);
    let (whole, still, reset) = (steps(&whole), steps(&still), steps(&reset));
    assert_eq!(reset[..2], whole[..2]);
    assert_ne!(whole[2], still[2]);
    assert_eq!(reset[2], still[2]);

    // The optimizer's memory shows in the step after the first.
    let (_, reset) = finished(
        &lab,
        "optimizer",
        &[four, two, "train.reset_optimizer=true"],
    );
    let reset = steps(&reset);
    assert_eq!(reset[..3], whole[..3]);
    assert_ne!(reset[3], whole[3]);
}

#[test]
fn a_stage_with_short_sources_makes_its_batches_of_short_sources() {
    let lab = Lab::new();
    // As many short examples as there are fit into a batch, of uncut ones only a few.
    let budget = [
        "train.batch_size=40",
        "train.batch_tokens=240",
        "train.steps=3",
    ];
    let stage = "schedule.stages=[{max_source=6}]";
    let (_, in_a_stage) = finished(&lab, "stage", &[&budget[..], &[stage]].concat());
    let (_, everywhere) = finished(
        &lab,
        "everywhere",
        &[&budget[..], &["lengths.max_source=6"]].concat(),
    );
    assert_eq!(steps(&in_a_stage), steps(&everywhere));
    let (_, uncut) = finished(&lab, "uncut", &budget);
    assert_ne!(steps(&in_a_stage), steps(&uncut));
}

#[test]
fn a_stage_with_smaller_batches_is_as_if_all_were_as_small() {
    let lab = Lab::new();
    let whole = ["train.batch_size=8", "train.steps=3"];
    let stage = ["schedule.stages=[{batch=0.5}]"];
    let (in_a_stage, events) = finished(&lab, "stage", &[&whole[..], &stage].concat());
    let small = ["train.batch_size=4"];
    let (everywhere, same) = finished(&lab, "everywhere", &[&whole[..], &small].concat());
    assert_eq!(steps(&events), steps(&same));
    assert_eq!(in_a_stage.flops, everywhere.flops);
    let (uncut, _) = finished(&lab, "uncut", &whole);
    assert!(in_a_stage.flops < uncut.flops);
}

#[test]
fn the_prompt_that_is_kept_is_the_first_of_the_best_on_dev() {
    let lab = Lab::new();
    let settings = ["eval.every=1", "train.learning_rate=0.5"];
    let (result, events) = finished(&lab, "run", &[&settings[..], &["train.steps=12"]].concat());
    let means: Vec<(usize, f64, bool)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Metric(MetricRecord::Eval {
                step, dev, best, ..
            }) => Some((*step, dev.mean(), *best)),
            _ => None,
        })
        .collect();
    assert_eq!(means.len(), 12);
    let mut so_far = f64::NEG_INFINITY;
    let mut best_step = 0;
    for &(step, mean, best) in &means {
        assert_eq!(best, mean > so_far, "step {step}");
        if best {
            (so_far, best_step) = (mean, step);
        }
    }
    assert_eq!(result.best_step, best_step);
    assert_eq!(result.dev.mean(), so_far);
    // It is the prompt of that step: a training that ends there has it too.
    let steps = format!("train.steps={best_step}");
    let (_, _) = finished(&lab, "short", &[&settings[..], &[&steps]].concat());
    assert_eq!(adapter(&lab, "run"), adapter(&lab, "short"));
}

/// What `error` is about, and that the metrics until then are kept.
fn divergence(lab: &Lab, result: Result<RunResult, TrainError>) -> (usize, &'static str) {
    let error = result.unwrap_err();
    let message = fpt_files::with_causes(&error);
    let TrainError::Failed { source, kept } = error else {
        panic!("{message}");
    };
    assert!(message.contains("run.partial") && message.contains("learning_rate"));
    assert_eq!(kept, lab.path("run.partial"));
    let metrics = fs::read_to_string(kept.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains(r#""event":"stage""#), "{metrics}");
    assert!(!lab.path("run").exists());
    match *source {
        TrainError::Diverged {
            step,
            what,
            examples,
            ..
        } => {
            assert_eq!(examples.len(), 8);
            assert!(message.contains(&examples[7]), "{message}");
            // The steps before it are there; it is only if its own numbers were sound, and what it made of the prompt not.
            let steps = metrics.matches(r#""event":"step""#).count();
            assert_eq!(steps, if what == "prompt" { step } else { step - 1 });
            (step, what)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let lab = Lab::new();
    change_model(&lab, |model| {
        let norm = &mut model.encoder.final_norm.weight;
        // Numbers that can be read, but no product of which is one.
        *norm = Param::from_tensor(norm.val() * 1e37);
    });
    let (result, _) = run(&lab, "run", &[]);
    assert_eq!(divergence(&lab, result), (1, "loss"));
}

#[test]
fn a_gradient_that_is_no_number_ends_the_run_at_its_step() {
    let lab = Lab::new();
    scale_head(&lab, 1e25);
    let (result, _) = run(&lab, "run", &[]);
    assert_eq!(divergence(&lab, result), (1, "norm of the gradient"));
}

#[test]
fn a_prompt_that_runs_away_keeps_its_metrics() {
    let lab = Lab::new();
    let settings = ["train.learning_rate=1e37", "train.steps=9"];
    let (result, _) = run(&lab, "run", &settings);
    assert!(divergence(&lab, result).0 > 1);
    // It is told before the prompt of the last step is evaluated, and kept until somebody says what is to become of it.
    let (result, _) = run(&lab, "run", &[]);
    assert!(matches!(result, Err(TrainError::Begun { .. })));
    assert!(lab.path("run.partial/metrics.jsonl").is_file());
}

#[test]
fn numbers_are_read_as_they_were_written() {
    let mut wrong = 0;
    for number in 0..10_000u32 {
        // As wide as a loss is, f32 in f64.
        let loss = f64::from(f32::from_bits(0x411f_0000 + 37 * number));
        let record = MetricRecord::Step {
            step: 1,
            loss,
            gradient_norm: loss / 3.0,
            seconds: 0.1,
            flops: 1e9,
            tokens: 1 << 40,
        };
        let text = serde_json::to_string(&record).unwrap();
        let read: MetricRecord = serde_json::from_str(&text).unwrap();
        wrong += usize::from(read != record);
    }
    assert_eq!(wrong, 0);
}

/// The precision is part of what a run is; in bf16 it trains on the rounded weights, and says so.
#[test]
fn a_run_in_bf16_trains_on_rounded_weights() {
    let lab = Lab::new();
    let settings = ["train.steps=3", "eval.every=3", "eval.dev_examples=4"];
    let half = [&settings[..], &["precision=bf16"]].concat();
    let (full, full_events) = finished(&lab, "full", &settings);
    let (rounded, rounded_events) = finished(&lab, "half", &half);
    let config = fs::read_to_string(lab.path("half/config.toml")).unwrap();
    assert!(config.contains("precision = \"bf16\""), "{config}");
    assert_eq!(
        full.stages[0].weight_bytes,
        2 * rounded.stages[0].weight_bytes
    );

    let (full, half) = (steps(&full_events), steps(&rounded_events));
    assert_eq!(full.len(), half.len());
    let ((first, flops), (first_rounded, flops_rounded)) = (full[0], half[0]);
    assert_eq!(flops, flops_rounded);
    let difference = (first / first_rounded - 1.0).abs();
    assert!(
        difference > 0.0 && difference < 0.02,
        "{first}, {first_rounded}"
    );

    // Nearly the same as with a model whose weights are bf16 in its files, which multiplies in f32.
    change_model(&lab, |model| *model = model.clone().into_bf16().unwrap());
    let (_, events) = finished(&lab, "of-rounded", &settings);
    let (ours, _) = steps(&events)[0];
    let difference = (ours / first_rounded - 1.0).abs();
    assert!(difference < 1e-3, "{ours}, {first_rounded}");
}
