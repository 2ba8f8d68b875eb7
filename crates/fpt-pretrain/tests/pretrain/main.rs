//! Pre-training, on a model that is small even for this crate.
//!
//! What it computes is pinned by the texts in `weights` beside this file: losses, skills and the bits of the weights. A
//! change that means to move them writes that of its processor anew with `FPT_PIN=write cargo test --workspace --test pretrain`.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::Device;
use fpt_files::Fingerprint;
use fpt_lab::assert_pinned;
use fpt_pretrain::{
    Curriculum, ModelShape, PretrainConfig, PretrainError, PretrainEvent, PretrainLog, pretrain,
};

fn config() -> PretrainConfig {
    PretrainConfig {
        seed: 3,
        steps: 100,
        batch_size: 5,
        shards: 2,
        pool: 4,
        warmup_steps: 10,
        decay_from: 0.5,
        final_rate: 0.02,
        muon_learning_rate: 0.005,
        muon_weight_decay: 0.01,
        adam_learning_rate: 5e-3,
        bias_rate_factor: 20.0,
        bias_std: 1.5,
        save_every: 50,
        probe_examples: 4,
        curriculum: Curriculum {
            share: 0.1,
            max_facts: 2,
            other_wording_start: 0.3,
            other_wording_step: 0.2,
            other_wording_end: 0.85,
            applied: [0.2, 0.5],
        },
        model: ModelShape {
            d_model: 16,
            d_kv: 8,
            d_ff: 16,
            num_heads: 2,
            num_layers: 1,
            num_decoder_layers: 1,
            relative_attention_num_buckets: 8,
            relative_attention_max_distance: 16,
        },
    }
}

fn run(
    config: &PretrainConfig,
    directory: &Path,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<PretrainLog, PretrainError> {
    let (out, state) = (directory.join("out"), directory.join("state"));
    pretrain(config, &out, &state, "test", &Device::flex(), on_event)
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let straight = tempfile::tempdir().unwrap();
    let log = run(&config(), straight.path(), &mut |_| {}).unwrap();
    assert_eq!(log.curve.len(), 2);
    assert!(log.curve[1].loss < log.curve[0].loss, "{:?}", log.curve);
    assert_eq!(log.skills.len(), fpt_world::Skill::ALL.len());

    let broken = tempfile::tempdir().unwrap();
    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        run(&config(), broken.path(), &mut |event| {
            if matches!(event, PretrainEvent::Step { step: 70, .. }) {
                panic!("the power fails");
            }
        })
    }));
    assert!(interrupted.is_err());
    assert!(!broken.path().join("out/model.safetensors").exists());

    let mut resumed_after = None;
    let resumed = run(&config(), broken.path(), &mut |event| {
        if let PretrainEvent::Resumed { step } = event {
            resumed_after = Some(step);
        }
    });
    assert_eq!(resumed_after, Some(50));
    assert_eq!(resumed.unwrap().curve, log.curve);
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let read = |base: &Path| fs::read(base.join("out").join(file)).unwrap();
        assert_eq!(read(straight.path()), read(broken.path()), "{file}");
    }
}

#[test]
fn a_small_run_gives_the_pinned_weights() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = String::new();
    // Long enough to find some of the hidden words.
    let config = PretrainConfig {
        steps: 500,
        batch_size: 8,
        save_every: 250,
        probe_examples: 70,
        ..config()
    };
    let log = run(&config, directory.path(), &mut |event| match event {
        PretrainEvent::Step { step, loss } if step <= 10 || step % 20 == 0 => {
            writeln!(text, "step {step} loss {loss:?}").unwrap();
        }
        PretrainEvent::Skills { step, skills } => {
            writeln!(text, "skills after {step}: {skills:?}").unwrap();
        }
        _ => {}
    });
    let log = log.unwrap();
    writeln!(text, "parameters {}", log.parameters).unwrap();
    for point in &log.curve {
        writeln!(text, "curve {} {:?}", point.step, point.loss).unwrap();
    }
    for file in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        let bytes = fs::read(directory.path().join("out").join(file)).unwrap();
        writeln!(text, "{file} {}", hash(&bytes)).unwrap();
    }

    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pretrain/weights");
    assert_pinned(&text, &pinned, assert_close);
}

fn hash(bytes: &[u8]) -> String {
    Fingerprint::new().bytes(bytes).hex()
}

/// On a processor with other vector units, sums have other roundings, which grow from step to step: the first losses
/// within a tolerance, and exactly what does not depend on rounding.
fn assert_close(ours: &str, theirs: &str) {
    let exact = |text: &str| -> Vec<String> {
        let kinds = ["parameters ", "config.json ", "tokenizer"];
        let of_kind = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
        text.lines().filter(of_kind).map(String::from).collect()
    };
    assert_eq!(exact(ours), exact(theirs));
    let losses = |text: &str| -> Vec<f64> {
        let steps = text.lines().filter_map(|line| line.strip_prefix("step "));
        let losses = steps.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap());
        losses.collect()
    };
    let (ours, theirs) = (losses(ours), losses(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate().take(10) {
        let difference = (ours - theirs).abs() / theirs;
        let step = number + 1;
        assert!(
            difference < 0.02,
            "{ours} instead of {theirs} at step {step}"
        );
    }
}

#[test]
fn a_state_of_another_configuration_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    run(&config(), directory.path(), &mut |_| {}).unwrap();
    let other = PretrainConfig {
        seed: 4,
        ..config()
    };
    let message = run(&other, directory.path(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(message.contains("another configuration"), "{message}");
    assert!(message.contains("state"), "{message}");
}

#[test]
fn recipes_name_what_is_wrong_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("recipe.toml");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/pretrain-mini.toml");
    let good = fs::read_to_string(shipped).unwrap();
    fs::write(&path, &good).unwrap();
    PretrainConfig::from_file(&path).unwrap();
    for (from, to, complaint) in [
        ("batch_size = 32", "batch_sise = 32", "batch_sise"),
        (
            "batch_size = 32",
            "batch_size = 0",
            "`batch_size` must be at least 1",
        ),
        ("shards = 2", "shards = 64", "`shards` must not exceed"),
        (
            "batch_size = 32",
            "batch_size = 9000000000000000000",
            "`batch_size` is 9000000000000000000, more than 10000000",
        ),
        (
            "final_rate = 0.02",
            "final_rate = nan",
            "`final_rate` is NaN",
        ),
        (
            "num_heads = 4",
            "num_heads = 4611686018427387904",
            "in [model]: `num_heads` is 4611686018427387904",
        ),
        ("d_model = 64", "", "d_model"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let message = PretrainConfig::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("recipe.toml"), "{message}");
        assert!(
            message.contains(complaint),
            "`{complaint}` is not in: {message}"
        );
    }
}
