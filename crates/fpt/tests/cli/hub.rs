//! Models of the hub: which commit a run was of.

use std::fs;
use std::process::Output;

use fpt_lab::hub::{COMMIT, FakeHub, Fault, File, REPOSITORY};
use serde_json::{Value, json};

use crate::lab::{Lab, refused, stderr, stdout, trained};

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

fn attempt(lab: &Lab, hub: &FakeHub, model: &str, out: &str, offline: &str) -> Output {
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
    lab.fpt_in(&arguments, &environment)
}

fn train(lab: &Lab, hub: &FakeHub, model: &str, out: &str, offline: &str) -> Output {
    let output = attempt(lab, hub, model, out, offline);
    trained(&output);
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

#[test]
fn a_cached_model_needs_no_network() {
    let lab = Lab::new();
    let hub = hub(&lab);
    train(&lab, &hub, REPOSITORY, "run", "0");
    hub.fail("GET", "/revision/main", Fault::Status(503, &[]), 9);
    let said = stderr(&train(&lab, &hub, REPOSITORY, "alone", "0"));
    for part in [COMMIT, "from the cache", "503"] {
        assert_eq!(said.matches(part).count(), 1, "{said}");
    }
    assert_eq!(recorded(&lab, "alone"), recorded(&lab, "run"));
}

#[test]
fn data_are_looked_for_before_a_model_is_fetched() {
    let lab = Lab::new();
    let hub = hub(&lab);
    train(&lab, &hub, REPOSITORY, "run", "0");
    assert!(!hub.requests().is_empty());
    let home = lab.path("home");
    fs::remove_dir_all(&home).unwrap();
    fs::remove_file(lab.path("data/mnli/dev_matched.tsv")).unwrap();

    let missing = ["the dev split of mnli", "dev_matched.tsv", "curl"];
    refused(&attempt(&lab, &hub, REPOSITORY, "other", "0"), &missing);
    let environment = [
        ("HF_HOME", home.to_str().unwrap()),
        ("HF_ENDPOINT", &hub.endpoint()),
    ];
    let eval = [
        "eval",
        "--config",
        "lab.toml",
        "--task",
        "mnli",
        "--split",
        "dev",
        "--set",
        "model=fast/t5-tiny",
    ];
    for arguments in [&eval[..], &["transfer", "run"]] {
        refused(&lab.fpt_in(arguments, &environment), &missing);
    }
    assert!(hub.requests().is_empty());
    assert!(!home.exists());

    // Generated data are not fetched from anywhere.
    let generate = "[generate]\nseed = 1\ntrain = 4\ndev = 4\ntest = 4\n";
    lab.edit("lab.toml", |text| text + generate);
    let how = "fpt data generate lab.toml";
    refused(&lab.train("mnli", &[]), &["the dev split", how]);
    let plan = stdout(&lab.train("mnli", &["--dry-run"]));
    assert!(plan.contains(how) && !plan.contains("curl"), "{plan}");
    // Others are.
    let plan = stdout(&lab.train("mnli", &["--dry-run", "--set", "data=nowhere"]));
    assert!(plan.contains("curl") && !plan.contains(how), "{plan}");
}
