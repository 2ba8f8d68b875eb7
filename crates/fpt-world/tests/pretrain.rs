//! Pre-training, on a model that is small even for this crate.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::Device;
use fpt_world::{
    Curriculum, ModelShape, PretrainConfig, PretrainEvent, PretrainLog, WorldError, pretrain,
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
) -> Result<PretrainLog, WorldError> {
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
