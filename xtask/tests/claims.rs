//! `cargo xtask records` and `cargo xtask search`, from outside, on a small model's worth of steps.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fpt_lab::Lab;

/// The program that is built with these tests.
fn fpt() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("fpt");
    let built = path.is_file();
    assert!(
        built,
        "run the tests of the whole workspace: {} is not built",
        path.display()
    );
    path
}

fn xtask(lab: &Lab, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(lab.path("")).args(arguments);
    command.arg("--program").arg(fpt()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

const SETTINGS: &str = r#"settings = ["train.steps=2", "eval.every=1", "eval.dev_examples=4"]"#;

#[test]
fn a_claim_is_judged_by_runs_that_are_made_once() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("docs/records")).unwrap();
    let claim = format!(
        r#"
        title = "Half of the layers are enough to start with"
        experiment = "../../lab.toml"
        tasks = ["mnli"]
        seeds = [7, 8, 9, 10, 11]
        flops_at_most = 0.9
        score_at_least = 5.0
        improve_above = -1000.0
        start = {{ reach = 0.0, steps_at_most = 1.0, every = 1 }}
        [ours]
        method = "ld-1/2"
        {SETTINGS}
        [theirs]
        method = "pt"
        {SETTINGS}
        "#
    );
    fs::write(lab.path("docs/records/half.toml"), &claim).unwrap();
    let output = xtask(&lab, &["records"]);
    let said = succeeded(&output);
    assert!(said.contains("| half  | no    |"), "{said}");
    let verdict = fs::read_to_string(lab.path("docs/records/half.md")).unwrap();
    for part in [
        "Does not hold",
        "Half of the layers",
        "≤ 0.9",
        "| yes   |",
        "| no    |",
        "half.csv",
    ] {
        assert!(verdict.contains(part), "`{part}` is not in {verdict}");
    }
    let csv = fs::read_to_string(lab.path("docs/records/half.csv")).unwrap();
    // Two runs and two starts a seed.
    assert_eq!(csv.lines().count(), 1 + 4 * 5);
    assert!(csv.contains("mnli-ld-1of2-s7,mnli,7,LD 1/2,"), "{csv}");

    // Judged again from what is there, and the same.
    let again = xtask(&lab, &["records", "docs/records/half.toml", "--json"]);
    let said = succeeded(&again);
    let messages = text(&again.stderr);
    assert!(
        messages.contains("10 of 10 runs are finished already"),
        "{messages}"
    );
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["half"]["seeds"].as_array().unwrap().len(), 5);
    assert_eq!(
        fs::read_to_string(lab.path("docs/records/half.md")).unwrap(),
        verdict
    );

    // A claim that can't be is told before anything is run.
    let path = lab.path("docs/records/half.toml");
    fs::write(&path, claim.replace("ld-1/2", "ld-1/0")).unwrap();
    let output = xtask(&lab, &["records"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("half.toml") && message.contains("ld-1/0"),
        "{message}"
    );
}

#[test]
fn a_search_tries_many_a_little_and_few_more() {
    let lab = Lab::new();
    lab.edit("lab.toml", |text| text.replace("steps = 3", "steps = 6"));
    let spec = r#"
        experiment = "lab.toml"
        tasks = ["mnli", "qqp"]
        seed = 3
        seeds = [40]
        candidates = 4
        keep = 2
        rungs = [1, 2]
        flops_at_most = 0.7
        lengths = [30, 4]
        [space]
        steps = ["2/3", "1/2"]
        stages = [1, 2]
        partial = ["1/2", "3/4"]
        depth = ["1/4", "1/2"]
        width = [0.5, 1.0]
        batch = ["1/2", "1.0"]
    "#;
    fs::write(lab.path("try.toml"), spec).unwrap();
    let said = succeeded(&xtask(&lab, &["search", "try.toml", "--json"]));
    let tried: serde_json::Value = serde_json::from_str(&said).unwrap();
    let tried = tried.as_array().unwrap();
    let pairs: Vec<u64> = tried
        .iter()
        .map(|one| one["pairs"].as_u64().unwrap())
        .collect();
    assert_eq!(pairs, [2, 2, 1, 1]);
    for one in tried {
        let (predicted, flops) = (
            one["predicted"].as_f64().unwrap(),
            one["flops"].as_f64().unwrap(),
        );
        assert!(
            predicted <= 0.7 && (predicted - flops).abs() < 0.1,
            "{predicted} {flops}"
        );
        let name = one["name"].as_str().unwrap();
        let directory = lab.path(&format!("runs/try/mnli-{name}-s40"));
        let result = fs::read_to_string(directory.join("result.json")).unwrap();
        // Test is not for choices.
        assert!(result.contains(r#""split": "dev""#), "{result}");
    }
    assert!(lab.path("runs/try/index.html").is_file());

    // The same again, from what is there.
    let again = xtask(&lab, &["search", "try.toml", "--json"]);
    assert_eq!(succeeded(&again), said);
    assert!(
        !text(&again.stderr).contains("steps,"),
        "{}",
        text(&again.stderr)
    );

    fs::write(
        lab.path("try.toml"),
        spec.replace("[1, 2]\n        flops", "[2, 1]\n        flops"),
    )
    .unwrap();
    let output = xtask(&lab, &["search", "try.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("rungs"),
        "{}",
        text(&output.stderr)
    );
}
