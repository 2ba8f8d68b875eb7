//! Pre-training, on a model that is small even for this crate.
//!
//! What it computes is pinned by the texts in `weights` beside this file: losses, skills and the bits of the weights. A
//! change that means to move them writes that of its processor anew with `FPT_PIN=write cargo test --workspace --test pretrain`.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fpt_files::{Fingerprint, Lock, seal};
use fpt_lab::assert_pinned;
use fpt_pretrain::{
    Curriculum, Dropped, Drops, Host, ModelShape, PretrainConfig, PretrainError, PretrainEvent,
    PretrainLog, pretrain,
};
use tempfile::TempDir;

fn config() -> PretrainConfig {
    PretrainConfig {
        seed: 3,
        start: None,
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
        drops: None,
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
    run_until(usize::MAX, config, directory, on_event)
}

/// A run that is told to stop when it has taken so many steps.
fn run_until(
    last: usize,
    config: &PretrainConfig,
    directory: &Path,
    on_event: &mut dyn FnMut(PretrainEvent),
) -> Result<PretrainLog, PretrainError> {
    let (out, state) = (directory.join("out"), directory.join("state"));
    let stopped = Cell::new(false);
    let host = Host {
        out: &out,
        state: &state,
        revision: "test",
        device: &Device::flex(),
        stop: &|| stopped.get(),
    };
    pretrain(config, &host, &mut |event| {
        if matches!(event, PretrainEvent::Step { step, .. } if step >= last) {
            stopped.set(true);
        }
        on_event(event);
    })
}

/// What an undisturbed run makes.
struct Whole {
    directory: TempDir,
    log: PretrainLog,
}

impl Whole {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = run(&config(), directory.path(), &mut |_| {}).unwrap();
        Self { directory, log }
    }

    /// That another run came to the same.
    fn assert_same(&self, directory: &Path, log: &PretrainLog) {
        assert_eq!(log.curve, self.log.curve);
        assert_eq!(log.skills, self.log.skills);
        let names = listing(&self.directory.path().join("out"));
        assert_eq!(listing(&directory.join("out")), names);
        for file in names.iter().filter(|name| *name != "pretrain.json") {
            let read = |base: &Path| fs::read(base.join("out").join(file)).unwrap();
            assert!(read(self.directory.path()) == read(directory), "{file}");
        }
    }
}

fn listing(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn checkpoint(directory: &Path, step: usize) -> PathBuf {
    directory.join(format!("state/step-{step:010}.fpt"))
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let whole = Whole::new();
    let log = &whole.log;
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
    assert!(!broken.path().join("out").exists());

    let mut resumed_after = None;
    let resumed = run(&config(), broken.path(), &mut |event| {
        if let PretrainEvent::Resumed { step } = event {
            resumed_after = Some(step);
        }
    });
    assert_eq!(resumed_after, Some(50));
    whole.assert_same(broken.path(), &resumed.unwrap());
}

#[test]
fn a_run_goes_on_from_another_ones_model() {
    let mut config = config();
    (config.steps, config.save_every) = (12, 12);
    let first = tempfile::tempdir().unwrap();
    let log = run(&config, first.path(), &mut |_| ()).unwrap();
    let out = first.path().join("out");
    let weights = |out: &Path| fs::read(out.join("model.safetensors")).unwrap();

    // At a rate of nothing the weights stay what they are.
    let mut second = config.clone();
    second.start = Some(out.clone());
    (second.muon_learning_rate, second.adam_learning_rate) = (0.0, 0.0);
    let still = tempfile::tempdir().unwrap();
    let still_log = run(&second, still.path(), &mut |_| ()).unwrap();
    assert!(weights(&still.path().join("out")) == weights(&out));
    assert_eq!(still_log.start.as_deref(), Some(&log));

    // Otherwise they go on from there, and resume as others do.
    second.muon_learning_rate = 0.005;
    let directory = tempfile::tempdir().unwrap();
    let stopped = run_until(5, &second, directory.path(), &mut |_| ());
    assert!(matches!(stopped, Err(PretrainError::Stopped)));
    run(&second, directory.path(), &mut |_| ()).unwrap();
    let whole = tempfile::tempdir().unwrap();
    run(&second, whole.path(), &mut |_| ()).unwrap();
    assert!(weights(&directory.path().join("out")) == weights(&whole.path().join("out")));

    let error = |config: &PretrainConfig| {
        let directory = tempfile::tempdir().unwrap();
        let outcome = run(config, directory.path(), &mut |_| ());
        outcome.unwrap_err().to_string()
    };
    second.model.d_ff = 8;
    assert!(error(&second).contains("another shape"));
    second.start = Some(first.path().join("nowhere"));
    assert!(error(&second).contains("nowhere"));
}

#[test]
fn what_is_left_out_follows_from_the_step_alone() {
    let mut config = config();
    (config.steps, config.save_every) = (24, 10);
    config.model.num_layers = 3;
    config.model.num_decoder_layers = 3;
    let run_of = |config: &PretrainConfig| {
        let directory = tempfile::tempdir().unwrap();
        let log = run(config, directory.path(), &mut |_| ()).unwrap();
        let weights = fs::read(directory.path().join("out/model.safetensors")).unwrap();
        (log, weights)
    };
    let (_, whole) = run_of(&config);
    config.drops = Some(Drops {
        share: 0.8,
        least: 0.3,
        kinds: vec![
            vec![Dropped::Layers],
            vec![Dropped::Neurons, Dropped::Heads],
        ],
        ramp: [0.0, 0.2],
        last_share: 0.4,
        fall: [0.5, 1.0],
    });
    let (log, dropped) = run_of(&config);
    assert!(whole != dropped);
    assert_eq!(log.config.drops, config.drops);

    let directory = tempfile::tempdir().unwrap();
    for last in [7, 13] {
        let stopped = run_until(last, &config, directory.path(), &mut |_| ());
        assert!(matches!(stopped, Err(PretrainError::Stopped)));
    }
    run(&config, directory.path(), &mut |_| ()).unwrap();
    let resumed = fs::read(directory.path().join("out/model.safetensors")).unwrap();
    assert!(resumed == dropped);
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_with_the_same_bits() {
    let whole = Whole::new();
    let directory = tempfile::tempdir().unwrap();
    let mut taken = 0;
    // Before and after each point of the curve and each checkpoint, and at the very end.
    for last in [1, 2, 37, 49, 50, 51, 99, 100] {
        let outcome = run_until(
            last,
            &config(),
            directory.path(),
            &mut |event| match event {
                PretrainEvent::Resumed { step } => assert_eq!(step, taken),
                PretrainEvent::Step { step, .. } => {
                    assert_eq!(step, taken + 1);
                    taken = step;
                }
                PretrainEvent::Warning { message } => panic!("{message}"),
                _ => {}
            },
        );
        assert!(matches!(outcome, Err(PretrainError::Stopped)), "{last}");
        assert_eq!(taken, last);
        assert!(checkpoint(directory.path(), last).is_file());
        assert!(!directory.path().join("out").exists());
    }
    assert_eq!(
        listing(&directory.path().join("state")),
        ["lock", "step-0000000099.fpt", "step-0000000100.fpt"]
    );
    let log = run(&config(), directory.path(), &mut |_| {}).unwrap();
    whole.assert_same(directory.path(), &log);
}

#[test]
fn a_damaged_checkpoint_is_told_and_passed_over() {
    let whole = Whole::new();
    let directory = tempfile::tempdir().unwrap();
    for last in [20, 60] {
        run_until(last, &config(), directory.path(), &mut |_| {}).unwrap_err();
    }
    let newest = checkpoint(directory.path(), 60);
    let bytes = fs::read(&newest).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let newer = seal("fpt-pretraining", 2, b"");
    let empty = seal("fpt-pretraining", 1, b"");
    for damaged in [&flipped[..], &bytes[..bytes.len() - 1], b"", &newer, &empty] {
        fs::write(&newest, damaged).unwrap();
        let (mut told, mut resumed) = (Vec::new(), None);
        // It takes a step more, and writes a checkpoint.
        let outcome = run_until(0, &config(), directory.path(), &mut |event| match event {
            PretrainEvent::Warning { message } => told.push(message),
            PretrainEvent::Resumed { step } => resumed = Some(step),
            _ => {}
        });
        assert!(matches!(outcome, Err(PretrainError::Stopped)));
        assert!(
            resumed.is_some_and(|step| (50..60).contains(&step)),
            "{resumed:?}"
        );
        let [line] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(line.contains("step-0000000060.fpt"), "{line}");
        assert!(!newest.exists());
    }
    let log = run(&config(), directory.path(), &mut |_| {}).unwrap();
    whole.assert_same(directory.path(), &log);
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_told_and_loses_nothing() {
    let whole = Whole::new();
    let directory = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let log = run(&config(), directory.path(), &mut |event| match event {
        // Where files should go that are written later.
        PretrainEvent::Step { step: 1, .. } => {
            for step in [50, 100] {
                fs::create_dir_all(checkpoint(directory.path(), step)).unwrap();
            }
        }
        PretrainEvent::Warning { message } => told.push(message),
        _ => {}
    });
    whole.assert_same(directory.path(), &log.unwrap());
    let failed = told
        .iter()
        .filter(|line| line.contains("there is no checkpoint"));
    assert_eq!(failed.count(), 2, "{told:?}");
}

#[test]
fn checkpoints_belong_to_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    let lock = Lock::take(&state).unwrap();
    let error = run(&config(), directory.path(), &mut |_| {}).unwrap_err();
    let owner = format!("process {} is writing", std::process::id());
    assert!(error.to_string().contains(&owner), "{error}");
    assert!(!directory.path().join("out").exists());
    drop(lock);
    run(&config(), directory.path(), &mut |_| {}).unwrap();
}

#[test]
fn what_lies_where_the_model_goes_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("model.safetensors"), "precious").unwrap();
    let mut kept = None;
    let mut listen = |event| match event {
        PretrainEvent::SetAside { path } => kept = Some(path),
        // Until the end it is where it was.
        PretrainEvent::Step { .. } => assert_eq!(listing(&out), ["model.safetensors"]),
        _ => {}
    };
    run(&config(), directory.path(), &mut listen).unwrap();
    let kept = kept.unwrap();
    assert_eq!(
        fs::read(kept.join("model.safetensors")).unwrap(),
        b"precious"
    );
    assert_eq!(
        listing(&out),
        [
            "config.json",
            "model.safetensors",
            "pretrain.json",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    assert_eq!(listing(directory.path()), ["out", "set-aside", "state"]);
}

#[test]
fn a_place_that_cannot_be_used_is_told_before_the_first_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("there")).unwrap();
    for (out, state, complaint) in [
        (path("file"), path("state"), "no directory"),
        (path("file/below"), path("state"), "file"),
        (PathBuf::from("."), path("state"), "no directory"),
        (path("there"), path("there/state"), "lie within it"),
        (path("there"), path("there"), "lie within it"),
        (path("out"), path("file"), "file"),
    ] {
        let host = Host {
            out: &out,
            state: &state,
            revision: "test",
            device: &Device::flex(),
            stop: &|| false,
        };
        let error = pretrain(&config(), &host, &mut |event| panic!("{event:?}"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
        assert!(
            listing(Path::new("."))
                .iter()
                .all(|name| !name.ends_with(".tmp"))
        );
    }
}

#[test]
fn weights_that_are_no_numbers_are_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let config = PretrainConfig {
        adam_learning_rate: 1e38,
        save_every: 1,
        ..config()
    };
    let error = run(&config, directory.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, PretrainError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("learning rates"), "{error}");
    assert!(!directory.path().join("out").exists());
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
        (
            "share = 0.6",
            "share = 1.5",
            "`drops.share` is 1.5, more than all",
        ),
        (
            "ramp = [0.25, 0.5]",
            "ramp = [0.5, 0.5]",
            "`drops.ramp` must be",
        ),
        ("least = 0.25", "least = nan", "`drops.least` is NaN"),
        (
            "fall = [0.7, 0.9]",
            "fall = [0.4, 0.9]",
            "`drops.fall` must not begin",
        ),
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
