//! Runs that are stopped and go on.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use burn::tensor::Device;
use fpt_files::unseal;
use fpt_lab::{Lab, assert_same, outcome};
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{
    Begun, Conduct, Event, Experiment, Host, RunResult, TrainError, model_directory, train,
};

use crate::nonfinite::BadBatch;

thread_local! {
    /// How often a run may ask whether it is to stop before it is.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn is_stopped() -> bool {
    let left = LEFT.get();
    LEFT.set(left.saturating_sub(1));
    left == 0
}

/// A run that may ask so often whether it is to stop.
fn run(
    lab: &Lab,
    out: &str,
    settings: &[&str],
    asks: usize,
    begun: Begun,
) -> (Result<RunResult, TrainError>, Vec<Event>) {
    let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
    let config = experiment.run(&TaskName::MNLI, 0, &settings).unwrap();
    let conduct = Conduct {
        begun,
        every_steps: Some(2),
        every: None,
        stop: is_stopped,
    };
    let host = Host {
        revision: "none".into(),
        device: "cpu".into(),
        processor: || None,
        cpu_seconds: || None,
        peak_memory: || None,
        tasks: Tasks::paper(),
        find_model: model_directory,
        conduct,
    };
    LEFT.set(asks);
    let mut events = Vec::new();
    let mut listener = |event: &Event| events.push(event.clone());
    let (out, cache) = (lab.path(out), lab.path("cache"));
    let result = train(
        &config,
        &out,
        &cache,
        &host,
        &[Device::flex()],
        &mut listener,
    );
    (result, events)
}

const SETTINGS: [&[&str]; 6] = [
    &["train.steps=5", "eval.every=2"],
    &[
        "schedule.method=fpt-cr",
        "schedule.partial_steps=[2, 1, 1]",
        "train.steps=6",
        "eval.every=3",
        "train.reset_optimizer=false",
        "train.accumulate=2",
    ],
    &["schedule.method=cr-1/2", "train.steps=4", "eval.every=3"],
    &[
        "schedule.stages=[{steps=3, d_ff=96}, {}]",
        "train.steps=5",
        "eval.every=3",
        "eval.model=stage",
        "train.reset_prompt=true",
        "train.reset_optimizer=true",
    ],
    // A rate that changes, a moving average, and the end of patience after step 8.
    &[
        "schedule.stages=[{steps=3, d_ff=96}, {}]",
        "train.steps=20",
        "eval.every=1",
        "train.learning_rate=1e-7",
        "train.schedule=\"cosine\"",
        "train.warmup=2",
        "train.stage_warmup=2",
        "train.average={kind=\"exponential\", decay=0.9}",
        "train.patience=3",
    ],
    // Prompts of evaluations, and a state to go back to that holds some.
    &[
        "train.steps=6",
        "eval.every=1",
        "train.average={kind=\"evaluations\", last=3}",
        "train.on_nonfinite=\"rewind\"",
    ],
];

#[test]
fn a_run_that_is_stopped_anywhere_comes_to_the_same_end() {
    for (number, settings) in SETTINGS.iter().enumerate() {
        let lab = Lab::new();
        run(&lab, "whole", settings, usize::MAX, Begun::GoOn)
            .0
            .unwrap();
        let asked = usize::MAX - LEFT.get();
        let whole = outcome(&lab.path("whole"));
        assert!(whole.contains_key("adapter/adapter_model.safetensors"));
        assert!(asked > 10, "{asked}");
        for asks in 0..asked {
            let out = format!("stopped-{asks}");
            let (stopped, _) = run(&lab, &out, settings, asks, Begun::GoOn);
            assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
            assert!(!lab.path(&out).exists());
            let (result, _) = run(&lab, &out, settings, usize::MAX, Begun::GoOn);
            result.unwrap();
            let what = format!("{number}, stopped at {asks} of {asked}");
            assert_same(&outcome(&lab.path(&out)), &whole, &what);
        }
    }
}

#[test]
fn a_run_with_a_bad_batch_that_is_stopped_anywhere_comes_to_the_same_end() {
    let bad = BadBatch::new();
    let steps = format!("train.steps={}", bad.step + 1);
    for on_nonfinite in ["skip", "rewind"] {
        let on_nonfinite = format!("train.on_nonfinite={on_nonfinite}");
        let few = ["train.learning_rate=1e-6", "eval.dev_examples=4"];
        let settings = [&few[..], &["eval.every=5", &on_nonfinite, &steps]].concat();
        let out = |name: &str| format!("{name}-{on_nonfinite}");
        let whole = run(&bad.lab, &out("whole"), &settings, usize::MAX, Begun::GoOn);
        assert!(whole.0.unwrap().skipped_batches > 0);
        let asked = usize::MAX - LEFT.get();
        let whole = outcome(&bad.lab.path(&out("whole")));
        for asks in 0..asked {
            let out = out(&format!("stopped-{asks}"));
            let (stopped, _) = run(&bad.lab, &out, &settings, asks, Begun::GoOn);
            assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
            let (result, _) = run(&bad.lab, &out, &settings, usize::MAX, Begun::GoOn);
            result.unwrap();
            let what = format!("{on_nonfinite}, stopped at {asks} of {asked}");
            assert_same(&outcome(&bad.lab.path(&out)), &whole, &what);
        }
    }
}

#[test]
fn a_run_may_be_stopped_again_and_again() {
    let lab = Lab::new();
    let settings = SETTINGS[1];
    run(&lab, "whole", settings, usize::MAX, Begun::GoOn)
        .0
        .unwrap();
    let mut stops = 0;
    // An evaluation asks as often as it has batches, and a stopped one begins anew.
    let result = loop {
        let (result, events) = run(&lab, "run", settings, 6, Begun::GoOn);
        let resumed = |event: &Event| matches!(event, Event::Resumed { .. });
        assert_eq!(stops > 0, events.iter().any(resumed), "{events:?}");
        match result {
            Err(TrainError::Stopped) => stops += 1,
            other => break other,
        }
        assert!(stops < 100);
    };
    result.unwrap();
    assert!(stops > 3, "{stops}");
    let [found, whole] = ["run", "whole"].map(|out| outcome(&lab.path(out)));
    assert_same(&found, &whole, "again and again");
}

fn checkpoints(lab: &Lab) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab.path("run.partial/checkpoints")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What `change` does to the last checkpoint is found, and the one before it, or the beginning, leads to the same end.
#[test]
fn damaged_checkpoints_are_told_and_passed_over() {
    let lab = Lab::new();
    let settings = &["train.steps=9", "eval.every=9"][..];
    run(&lab, "whole", settings, usize::MAX, Begun::GoOn)
        .0
        .unwrap();
    let whole = outcome(&lab.path("whole"));
    let steps = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Resumed { step, .. } => Some(*step),
            _ => None,
        })
    };
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, usize); 5] = [
        (|bytes| bytes.clear(), 1),
        (|bytes| bytes.truncate(bytes.len() / 2), 1),
        (|bytes| *bytes.last_mut().unwrap() ^= 1, 1),
        (|bytes| bytes[20] ^= 4, 2),
        (|bytes| bytes.extend_from_slice(b"more"), 2),
    ];
    for (change, how_many) in changes {
        let _ = fs::remove_dir_all(lab.path("run"));
        // The last step of nine is not reached.
        let stopped = (6..).find_map(|asks| {
            let (stopped, _) = run(&lab, "run", settings, asks, Begun::SetAside);
            assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
            let files = lab
                .path("run.partial/checkpoints")
                .exists()
                .then(|| checkpoints(&lab));
            files.filter(|files| files[files.len() - 1].ends_with("step-0000000007.fpt"))
        });
        let files = stopped.unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files.iter().rev().take(how_many) {
            let mut bytes = fs::read(file).unwrap();
            change(&mut bytes);
            fs::write(file, bytes).unwrap();
        }
        let (result, events) = run(&lab, "run", settings, usize::MAX, Begun::GoOn);
        result.unwrap();
        let warnings = events
            .iter()
            .filter(|event| matches!(event, Event::Warning { .. }));
        assert_eq!(warnings.count(), how_many);
        assert_eq!(steps(&events), (how_many == 1).then_some(6));
        assert_same(&outcome(&lab.path("run")), &whole, "after damage");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_checkpoint_is_seen() {
    let lab = Lab::new();
    let settings = ["train.steps=9", "eval.every=9"];
    let (stopped, _) = run(&lab, "run", &settings, 9, Begun::GoOn);
    assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
    let whole = fs::read(checkpoints(&lab).last().unwrap()).unwrap();
    let kind = "fpt-checkpoint";
    let version = unseal(kind, &whole).unwrap().version;
    for length in (0..whole.len()).step_by(64) {
        assert!(unseal(kind, &whole[..length]).is_err(), "{length}");
    }
    let mut flipped = whole.clone();
    for place in 0..whole.len() {
        flipped[place] ^= 1 << (place % 8);
        // One of another version is refused too.
        let found = unseal(kind, &flipped);
        assert!(
            found.is_err() || found.unwrap().version != version,
            "{place}"
        );
        flipped[place] = whole[place];
    }
}

#[test]
fn what_was_begun_otherwise_is_not_gone_on_with() {
    let lab = Lab::new();
    let settings = &["train.steps=9", "eval.every=9"][..];
    let begin = || {
        let (stopped, _) = run(&lab, "run", settings, 9, Begun::SetAside);
        assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
    };
    let refused = |settings: &[&str], parts: &[&str]| {
        let (result, _) = run(&lab, "run", settings, usize::MAX, Begun::GoOn);
        let message = result.unwrap_err().to_string();
        for part in [&["unfinished", "--restart"], parts].concat() {
            assert!(message.contains(part), "`{part}` is not in {message}");
        }
    };
    begin();
    let other = ["train.steps=9", "eval.every=9", "train.learning_rate=0.04"];
    refused(&other, &["configuration", "train.learning_rate", "0.05"]);
    lab.edit("data/mnli/train.tsv", |text| text.replacen(". ", ", ", 1));
    refused(settings, &["inputs", "train split"]);
    // Nothing is lost by that.
    assert!(!checkpoints(&lab).is_empty());

    let (result, events) = run(&lab, "run", settings, usize::MAX, Begun::SetAside);
    result.unwrap();
    let aside = events.iter().find_map(|event| match event {
        Event::SetAside { path } => Some(path.clone()),
        _ => None,
    });
    assert!(aside.unwrap().join("checkpoints").is_dir());

    let (result, _) = run(&lab, "new", settings, usize::MAX, Begun::MustGoOn);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("new.partial"), "{message}");
    assert!(!lab.path("new.partial").exists());
}
