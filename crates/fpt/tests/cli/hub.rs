//! Models of the hub: which commit a run was of.

use std::fs;
use std::process::Output;

use fpt_lab::hub::{COMMIT, FakeHub, File, REPOSITORY};
use serde_json::{Value, json};

use crate::lab::{Lab, stderr};

/// The laboratory's model on a hub.
fn hub(lab: &Lab) -> FakeHub {
    let names = ["config.json", "model.safetensors", "tokenizer.json"];
    let files = names.map(|name| {
        let file = File {
            bytes: fs::read(lab.path("model").join(name)).unwrap(),
            large: name == "model.safetensors",
        };
        (name, file)
    });
    FakeHub::new(&files)
}

fn train(lab: &Lab, hub: &FakeHub, model: &str, out: &str, offline: &str) -> Output {
    let model = format!("model={model}");
    let arguments = [
        "train", "--config", "lab.toml", "--task", "mnli", "--set", &model, "--out", out,
    ];
    let home = lab.path("home");
    let environment = [
        ("HF_HOME", home.to_str().unwrap()),
        ("HF_ENDPOINT", &hub.endpoint()),
        ("HF_HUB_OFFLINE", offline),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let output = lab.fpt_in(&arguments, &environment);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn recorded(lab: &Lab, run: &str) -> Value {
    let text = fs::read_to_string(lab.path(run).join("inputs.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["hub"].take()
}

#[test]
fn a_run_records_the_commit_of_its_model() {
    let lab = Lab::new();
    let hub = hub(&lab);
    let expected = |revision: &str, commit: &str| json!({"repository": REPOSITORY, "revision": revision, "commit": commit});
    train(&lab, &hub, REPOSITORY, "run", "0");
    assert_eq!(recorded(&lab, "run"), expected("main", COMMIT));
    // The commit itself, and what is cached of the branch.
    train(&lab, &hub, &format!("{REPOSITORY}@{COMMIT}"), "pinned", "0");
    assert_eq!(recorded(&lab, "pinned"), expected(COMMIT, COMMIT));
    train(&lab, &hub, REPOSITORY, "offline", "1");
    assert_eq!(recorded(&lab, "offline"), expected("main", COMMIT));

    // Another commit of the same content is no other run; the finished one says what it was of.
    let later = "89abcdef".repeat(5);
    hub.commit(&later);
    let again = train(&lab, &hub, REPOSITORY, "run", "0");
    assert!(
        stderr(&again).contains("this very run"),
        "{}",
        stderr(&again)
    );
    assert_eq!(recorded(&lab, "run"), expected("main", COMMIT));
    train(&lab, &hub, REPOSITORY, "later", "0");
    assert_eq!(recorded(&lab, "later"), expected("main", &later));

    // A directory has no commit, and is the same run.
    let local = train(&lab, &hub, "model", "run", "0");
    assert!(
        stderr(&local).contains("this very run"),
        "{}",
        stderr(&local)
    );
    train(&lab, &hub, "model", "local", "0");
    assert_eq!(recorded(&lab, "local"), Value::Null);
}
