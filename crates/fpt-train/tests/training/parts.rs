//! Batches in parts, several devices, less memory, and devices that fail.

use burn::tensor::{Device, Int, Tensor};
use fpt_lab::{Lab, shipped_model};
use fpt_prompt::SoftPrompt;
use fpt_t5::{Generation, Lm, LmBatch, T5, Taps};
use fpt_tasks::{PadTo, TokenBatch, TokenizedExample};
use fpt_train::{Event, MetricRecord, RunResult, Step, TrainError};

use crate::{adapter, finished, run_on, steps};

/// Loss, gradient norm and FLOPs so far of each step, and the prompt at the end.
fn outcome(lab: &Lab, out: &str, settings: &[&str], devices: usize) -> (Vec<[f64; 3]>, Vec<u8>) {
    let devices = vec![Device::flex(); devices];
    let mut steps = Vec::new();
    let mut listener = |event: &Event| {
        if let Event::Metric(MetricRecord::Step {
            loss,
            gradient_norm,
            flops,
            ..
        }) = event
        {
            steps.push([*loss, *gradient_norm, *flops]);
        }
    };
    run_on(lab, out, settings, &devices, &mut listener).unwrap();
    (steps, adapter(lab, out))
}

/// Examples of many lengths, so that parts have other lengths and other numbers of labels.
fn examples(count: usize) -> Vec<TokenizedExample> {
    let ids =
        |number: usize, length: usize| (0..length).map(move |i| (7 * number + i) as u32 % 300 + 3);
    let example = |number: usize| TokenizedExample {
        source: ids(number, 3 + 11 * number % 37).collect(),
        target: ids(number + 1, 1 + number % 5).collect(),
    };
    (0..count).map(example).collect()
}

fn batch(examples: &[TokenizedExample], rows: std::ops::Range<usize>) -> TokenBatch {
    TokenBatch::new(examples, rows.collect(), PadTo::Multiple(1))
}

fn prompt(d_model: usize) -> SoftPrompt {
    let values = (0..4 * d_model).map(|i| (i as f32).sin() / 4.0).collect();
    SoftPrompt::from_values(values, [4, d_model], &Device::flex().autodiff())
}

/// Loss and gradient of a step.
fn numbers(step: &Step, prompt: &SoftPrompt) -> (f64, Vec<f32>) {
    let [loss, norm] = Step::read(step.values.clone()).unwrap();
    let gradient: Tensor<2> = step.gradients.get(prompt.weight.id).unwrap();
    let gradient: Vec<f32> = gradient.into_data().iter().collect();
    let squares: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
    assert!((norm - squares.sqrt()).abs() < 1e-5 * norm);
    (loss, gradient)
}

#[test]
fn parts_of_a_batch_add_up_to_it() {
    let device = Device::flex();
    let model = T5::from_pretrained(shipped_model(), &device).unwrap();
    let prompt = prompt(model.config().d_model);
    let examples = examples(7);
    let whole = Step::new(&model, &prompt, &batch(&examples, 0..7), &device);
    let parts = [
        batch(&examples, 0..1),
        batch(&examples, 1..5),
        batch(&examples, 5..7),
    ];
    let in_parts = Step::of_parts(&[&model], &prompt, &parts).unwrap();
    // Short parts are not padded to the longest example of the batch.
    assert!(in_parts.forward_macs < whole.forward_macs);
    let (loss, gradient) = numbers(&whole, &prompt);
    let (loss_in_parts, gradient_in_parts) = numbers(&in_parts, &prompt);
    assert!((loss - loss_in_parts).abs() < 1e-5 * loss);
    let largest = gradient.iter().fold(0f32, |max, g| max.max(g.abs()));
    for (whole, parts) in gradient.iter().zip(&gradient_in_parts) {
        assert!((whole - parts).abs() < 1e-4 * largest, "{whole}, {parts}");
    }

    // One part is the batch, and devices share the parts without changing a bit.
    let one = Step::of_parts(&[&model], &prompt, &[batch(&examples, 0..7)]).unwrap();
    assert_eq!(numbers(&one, &prompt), (loss, gradient));
    for devices in 2..5 {
        let models = vec![&model; devices];
        let step = Step::of_parts(&models, &prompt, &parts).unwrap();
        assert_eq!(step.forward_macs, in_parts.forward_macs);
        assert_eq!(
            numbers(&step, &prompt),
            (loss_in_parts, gradient_in_parts.clone())
        );
    }
}

#[test]
fn several_devices_give_the_run_of_one_with_as_many_parts() {
    let lab = Lab::new();
    let settings = ["schedule.method=fpt-cr", "schedule.partial_steps=[2, 1, 1]"];
    let settings = [&settings[..], &["train.steps=6", "eval.every=3"]].concat();
    let in_parts = |parts| [&settings[..], &[parts]].concat();
    let whole = outcome(&lab, "whole", &settings, 1);
    let two = outcome(&lab, "two", &in_parts("train.accumulate=2"), 1);
    assert!(two == outcome(&lab, "two devices", &settings, 2));
    // Two parts are no multiple of three devices, so there are three.
    let three = outcome(&lab, "three", &in_parts("train.accumulate=3"), 1);
    let on_three = in_parts("train.accumulate=2");
    assert!(three == outcome(&lab, "three devices", &on_three, 3));
    assert!(two.0 != whole.0 && two.0 != three.0);
    let [loss, norm, _] = whole.0[0];
    for [other_loss, other_norm, _] in [two.0[0], three.0[0]] {
        assert!((loss - other_loss).abs() < 1e-5 * loss);
        assert!((norm - other_norm).abs() < 1e-4 * norm);
    }
}

#[test]
fn small_batches_have_no_empty_parts() {
    let lab = Lab::new();
    // Batches of one or two examples, in as many parts as four devices would have.
    let settings = ["train.batch_tokens=48", "train.accumulate=4"];
    let alone = outcome(&lab, "alone", &settings, 1);
    assert!(alone == outcome(&lab, "shared", &settings, 4));
    assert_eq!(alone.0.len(), 3);
}

#[test]
fn more_devices_than_examples_are_refused_and_so_are_none() {
    let lab = Lab::new();
    let refused = |devices, settings: &[&str]| {
        let devices = vec![Device::flex(); devices];
        let result = run_on(&lab, "run", settings, &devices, &mut |_| {});
        assert!(!lab.path("run.partial").exists());
        result.unwrap_err().to_string()
    };
    let error = refused(3, &["train.batch_size=2"]);
    assert!(error.contains("train.batch_size"), "{error}");
    assert!(error.contains("3 devices"), "{error}");
    let error = refused(0, &[]);
    assert!(error.contains("devices"), "{error}");
}

#[test]
fn what_is_computed_again_changes_no_bit() {
    let lab = Lab::new();
    // Heads left out, too, and a full model at the end.
    let settings = ["schedule.method=fpt-hd", "schedule.partial_steps=[1, 1, 1]"];
    let settings = [&settings[..], &["train.steps=4"]].concat();
    let kept = outcome(&lab, "none", &settings, 1);
    for what in ["attention", "layers"] {
        let recompute = format!("train.recompute={what}");
        let settings = [&settings[..], &[&recompute]].concat();
        let again = outcome(&lab, what, &settings, 1);
        assert_eq!(kept.0, again.0, "{what}");
        assert!(kept.1 == again.1, "{what}");
    }
}

/// What stopped a run, and the metrics that it kept.
fn stopped(lab: &Lab, result: Result<RunResult, TrainError>) -> (String, String) {
    match result.unwrap_err() {
        TrainError::Failed { source, kept } => match *source {
            TrainError::Device { ref reason } => {
                assert_eq!(kept, lab.path("run.partial"));
                assert!(source.to_string().contains("train.accumulate"), "{source}");
                let metrics = std::fs::read_to_string(kept.join("metrics.jsonl")).unwrap();
                (reason.clone(), metrics)
            }
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn a_panic_ends_the_run_as_other_failures_do() {
    let lab = Lab::new();
    let mut listener = |event: &Event| {
        if matches!(event, Event::Metric(MetricRecord::Step { step: 2, .. })) {
            panic!("no memory left");
        }
    };
    let result = run_on(&lab, "run", &[], &[Device::flex()], &mut listener);
    let (reason, metrics) = stopped(&lab, result);
    assert_eq!(reason, "no memory left");
    assert_eq!(metrics.matches(r#""event":"step""#).count(), 2);
    // Nothing is locked: the next run sets it aside.
    finished(&lab, "run", &[]);
}

/// A model on a device without memory.
struct Broken(T5);

impl Lm for Broken {
    fn device(&self) -> Device {
        self.0.device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.0.embed(ids)
    }

    fn logits(&self, _: Option<Tensor<2>>, batch: &LmBatch, _: &mut dyn Taps) -> Tensor<3> {
        let [rows, _] = batch.source.dims();
        panic!("no memory for {rows} rows");
    }

    fn answer(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        generation: &Generation,
    ) -> Vec<Vec<u32>> {
        self.0.answer(prefix, source, mask, generation)
    }
}

#[test]
fn a_device_among_several_that_fails_is_an_error() {
    let model = T5::from_pretrained(shipped_model(), &Device::flex()).unwrap();
    let prompt = prompt(model.config().d_model);
    let examples = examples(4);
    let parts = [batch(&examples, 0..1), batch(&examples, 1..4)];
    let broken = Broken(model);
    let Err(error) = Step::of_parts(&[&broken, &broken], &prompt, &parts) else {
        panic!("it worked");
    };
    let error = error.to_string();
    assert!(error.contains("no memory for 1 rows"), "{error}");
    assert!(error.contains("train.recompute"), "{error}");
}

#[test]
fn parts_are_no_part_of_an_experiment_that_does_not_ask_for_them() {
    let lab = Lab::new();
    let (_, events) = finished(&lab, "run", &[]);
    assert_eq!(steps(&events).len(), 3);
    let config = std::fs::read_to_string(lab.path("run/config.toml")).unwrap();
    assert!(!config.contains("accumulate") && !config.contains("recompute"));
    finished(
        &lab,
        "other",
        &["train.accumulate=2", "train.recompute=layers"],
    );
    let config = std::fs::read_to_string(lab.path("other/config.toml")).unwrap();
    assert!(config.contains("accumulate = 2"), "{config}");
    assert!(config.contains(r#"recompute = "layers""#), "{config}");
}
