//! What training computes, pinned: a small grid of runs compared with a text in `runs` beside this file, every loss,
//! FLOP, score, answer and the bits of every prompt. A change that moves no number leaves the texts as they are; one that
//! means to writes that of its processor anew with `FPT_PIN=write cargo test --workspace --test pinned`, and leaves the
//! others to who has such a processor.
//!
//! Processors with other vector units sum in other orders: each kind has its text. On a kind without one, the losses are
//! compared within a tolerance, and all that does not depend on rounding exactly.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use fpt_files::Fingerprint;
use fpt_lab::{Lab, assert_pinned};
use fpt_tasks::{Scores, Tasks};
use fpt_train::{Conduct, Experiment, Host, MetricRecord, RunResult, model_directory, train};

/// Task, method and settings.
const RUNS: [(&str, &str, &[&str]); 7] = [
    ("mnli", "pt", &["train.steps=4"]),
    ("mnli", "fpt-cr", STAGES),
    ("mnli", "cr-1/2", &["train.steps=4"]),
    ("squad2", "pt", &["train.steps=4", "train.batch_tokens=200"]),
    ("squad2", "fpt-cr", STAGES),
    (
        "squad2",
        "cr-1/2",
        &["train.steps=4", "eval.dev_examples=5"],
    ),
    (
        "squad2",
        "fpt-hd",
        &[
            "train.steps=6",
            "schedule.partial_steps=[2, 1, 1]",
            "train.reset_prompt=true",
            "train.reset_optimizer=true",
            "eval.reference=true",
        ],
    ),
];

const STAGES: &[&str] = &["train.steps=7", "schedule.partial_steps=[3, 1, 1]"];

#[test]
fn a_small_grid_of_runs_gives_the_pinned_numbers() {
    let lab = Lab::new();
    let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
    let mut text = String::new();
    for (number, (task, method, settings)) in RUNS.iter().enumerate() {
        let mut overrides: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
        overrides.push(format!("schedule.method={method}"));
        let config = experiment
            .run(&task.parse().unwrap(), 0, &overrides)
            .unwrap();
        let out = lab.path(&format!("run-{number}"));
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
        let cache = lab.path("cache");
        train(&config, &out, &cache, &host, &[Device::flex()], &mut |_| {}).unwrap();
        writeln!(text, "\nrun {task} {method} {}", settings.join(" ")).unwrap();
        describe(&out, &mut text);
    }

    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pinned/runs");
    assert_pinned(&text, &pinned, assert_close);
}

/// Everything that a run computed, a fact a line.
fn describe(out: &Path, text: &mut String) {
    let run = fpt_train::FinishedRun::read(out).unwrap();
    for record in run.metrics().unwrap() {
        match record {
            MetricRecord::Stage { stage, step, size } => {
                writeln!(text, "stage {stage} from {step}: {size:?}").unwrap();
            }
            MetricRecord::Step {
                step,
                loss,
                gradient_norm,
                flops,
                ..
            } => writeln!(
                text,
                "step {step} loss {loss:?} norm {gradient_norm:?} flops {flops:?}"
            )
            .unwrap(),
            MetricRecord::Eval {
                step,
                examples,
                dev,
                best,
                flops,
                reported,
            } => {
                let reported = reported.as_ref().map(scores);
                writeln!(
                    text,
                    "eval {step} of {examples} best {best} flops {flops:?} dev {} reported {reported:?}",
                    scores(&dev)
                )
                .unwrap();
            }
            MetricRecord::StageEnd { stage, step, dev } => {
                writeln!(text, "end of stage {stage} at {step}: dev {}", scores(&dev)).unwrap();
            }
            other => panic!("{other:?} is not pinned"),
        }
    }
    describe_result(&run.result, text);
    text.push_str(&fs::read_to_string(out.join("predictions.test.jsonl")).unwrap());
    let selections = serde_json::to_string(&run.selections().unwrap()).unwrap();
    writeln!(text, "selections {}", hash(selections.as_bytes())).unwrap();
    let adapter = fs::read(out.join("adapter/adapter_model.safetensors")).unwrap();
    writeln!(text, "adapter {}", hash(&adapter)).unwrap();
}

fn describe_result(result: &RunResult, text: &mut String) {
    for stage in &result.stages {
        writeln!(
            text,
            "stage of {} steps: flops {:?} bytes {} dev {:?}",
            stage.steps,
            stage.flops,
            stage.weight_bytes,
            stage.dev.as_ref().map(scores)
        )
        .unwrap();
    }
    writeln!(
        text,
        "result {} {} evaluated {:?} best {} of {} flops {:?} loss {:?}",
        result.method,
        result.metric,
        result.evaluated,
        result.best_step,
        result.steps,
        result.flops,
        result.final_loss
    )
    .unwrap();
    writeln!(
        text,
        "baseline {} {:?}",
        result.baseline.name, result.baseline.value
    )
    .unwrap();
    for (name, of) in [
        ("no prompt", result.no_prompt.as_ref()),
        ("dev", Some(&result.dev)),
        ("reported", Some(&result.reported)),
        ("on the full model", result.reported_full.as_ref()),
    ] {
        writeln!(text, "{name} {:?}", of.map(scores)).unwrap();
    }
}

fn scores(scores: &Scores) -> String {
    let values = scores.values.iter();
    let values: Vec<String> = values
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    values.join(",")
}

fn hash(bytes: &[u8]) -> String {
    Fingerprint::new().bytes(bytes).hex()
}

/// Losses and gradient norms within a tolerance that grows with the steps of a run, as each step of the optimizer, whose
/// size does not depend on that of the gradient, makes a rounding larger; FLOPs, stages and baselines exactly. Scores,
/// answers and bits of prompts may turn on a rounding.
fn assert_close(ours: &str, theirs: &str) {
    let steps = |text: &str| -> Vec<(f64, f64, String, i32)> {
        text.lines()
            .filter(|line| line.starts_with("step "))
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let number = |place: usize| words[place].parse().unwrap();
                (
                    number(3),
                    number(5),
                    words[7].to_string(),
                    words[1].parse().unwrap(),
                )
            })
            .collect()
    };
    let exact = |text: &str| -> Vec<String> {
        let kinds = ["run ", "stage ", "baseline "];
        let of_kind = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
        let before_scores = |line: &str| line.split(" dev ").next().unwrap().to_string();
        text.lines().filter(of_kind).map(before_scores).collect()
    };
    assert_eq!(exact(ours), exact(theirs));
    let (ours, theirs) = (steps(ours), steps(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.2, theirs.2, "FLOPs of the {number}th step");
        let bound = 0.002 * 4_f64.powi(ours.3 - 1);
        // The norm of a gradient may be many times another's next to it.
        for (ours, theirs, bound) in [
            (ours.0, theirs.0, bound.min(0.5)),
            (ours.1, theirs.1, bound),
        ] {
            let difference = (ours - theirs).abs() / theirs.abs().max(1e-3);
            assert!(
                difference < bound,
                "{ours} instead of {theirs} at the {number}th step"
            );
        }
    }
}
