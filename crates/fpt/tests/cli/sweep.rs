//! `fpt sweep`: a grid of settings, and which of them is the best on dev.

use std::fs;

use serde_json::Value;

use crate::lab::{Lab, refused, stderr, stdout, trained};

/// A laboratory whose experiment has these lines under `[sweep]`.
fn lab(sweep: &str) -> Lab {
    let lab = Lab::new();
    lab.edit("lab.toml", |text| format!("{text}\n[sweep]\n{sweep}\n"));
    lab
}

fn sweep(lab: &Lab, more: &[&str]) -> std::process::Output {
    lab.fpt(
        &[&["sweep", "lab.toml", "--out", "runs"], more].concat(),
        "",
    )
}

/// What the command says in JSON.
fn json(lab: &Lab, more: &[&str]) -> Value {
    let output = sweep(lab, &[&["--json"], more].concat());
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

const RATES: &str = "\"train.learning_rate\" = [0.01, 0.3]";

#[test]
fn every_combination_is_a_run_and_the_best_on_dev_is_told() {
    let lab = lab(&format!(
        "{RATES}\nschedule.method = [\"pt\", \"cr-1/2\"]\nseed = [0, 1]"
    ));
    let listed = sweep(&lab, &["--task", "mnli", "--dry-run"]);
    trained(&listed);
    let names = stdout(&listed);
    assert_eq!(names.lines().count(), 8, "{names}");
    for name in [
        "to do       mnli-method=pt-learning_rate=0.01-s0\n",
        "to do       mnli-method=cr-1of2-learning_rate=0.3-s1\n",
    ] {
        assert!(names.contains(name), "{names}");
    }
    assert!(!lab.path("runs").exists());

    let output = sweep(&lab, &["--task", "mnli", "--jobs", "2"]);
    trained(&output);
    let said = stdout(&output);
    assert!(said.contains("Settings, the best on dev first."), "{said}");
    let table = fs::read_to_string(lab.path("runs/results.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 8);
    assert!(lab.path("runs/index.html").is_file());

    // The report, which is made of the directories alone, says the same.
    let found = json(&lab, &["--task", "mnli"]);
    let tried = found["settings"].as_array().unwrap();
    assert_eq!(tried.len(), 4);
    let scores: Vec<f64> = tried.iter().map(|it| it["dev"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert_eq!(tried[0]["runs"].as_array().unwrap().len(), 2);
    let best = tried[0]["label"].as_str().unwrap();
    assert!(
        said.contains(&format!("best on dev: {best}: {:.2} (mnli ", scores[0])),
        "{said}"
    );
    let report = lab.fpt(&["report", "runs"], "");
    let rows: Vec<String> = stdout(&report).lines().map(String::from).collect();
    let first = rows.iter().position(|row| row.starts_with("|---")).unwrap() + 1;
    assert!(rows[first].starts_with(&format!("| {best} ")), "{rows:?}");
    assert!(rows[first + 3].starts_with(&format!("| {} ", tried[3]["label"].as_str().unwrap())));

    // The settings are those that were told.
    let of_best = tried[0]["runs"][0].as_str().unwrap();
    let config = fs::read_to_string(lab.path(of_best).join("config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let rate = config["train"]["learning_rate"].as_float().unwrap();
    assert!(best.contains(&format!("learning_rate={rate}")), "{best}");
}

#[test]
fn a_sweep_goes_on_when_values_are_added() {
    let lab = lab(RATES);
    trained(&sweep(&lab, &["--task", "mnli", "--task", "mnli"]));
    lab.edit("lab.toml", |text| text.replace("0.3]", "0.3, 0.1]"));
    let output = sweep(&lab, &["--task", "mnli"]);
    trained(&output);
    assert!(stderr(&output).contains("2 of 3 runs are finished already"));
    // All tasks of the experiment.
    let listed = sweep(&lab, &["--dry-run"]);
    assert!(stderr(&listed).contains("15 runs in runs: 3 finished, 0 unfinished, 12 to do"));
}

#[test]
fn a_sweep_that_is_stopped_says_that_it_goes_on() {
    let lab = lab(RATES);
    let long = [
        "--task",
        "mnli",
        "--set",
        "train.steps=100000",
        "--time-limit",
        "2s",
    ];
    let output = sweep(&lab, &long);
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    let said = "stopped by the time limit with 0 of 2 runs finished; the same command goes on";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    assert!(!lab.path("runs/index.html").exists());
}

#[test]
fn runs_that_fail_are_told_at_the_end_and_the_others_count() {
    let lab =
        lab("prompt.init = [{ kind = \"uniform\" }, { kind = \"adapter\", path = \"nowhere\" }]");
    let output = sweep(&lab, &["--task", "mnli"]);
    refused(
        &output,
        &[
            "1 of 2 runs failed",
            "mnli-init=kind_adapter_path_nowhere~",
            "nowhere",
        ],
    );
    assert!(
        stdout(&output).contains("best on dev: init={ kind = \"uniform\" }"),
        "{}",
        stdout(&output)
    );
    let found = json(&lab, &["--task", "mnli"]);
    assert!(found["settings"][0]["dev"].is_number());
    assert!(found["settings"][1]["dev"].is_null(), "{found}");
}

#[test]
fn what_is_wrong_with_a_sweep_shows_before_anything_runs() {
    for (wrong, parts) in [
        (
            "\"train.learning_rat\" = [1]",
            &["[sweep]", "learning_rat"][..],
        ),
        ("train.steps = [3, -1]", &["[sweep]", "steps=-1"]),
        ("train.steps = [3, 0]", &["steps=0", "must be at least 1"]),
        (
            "train.steps = 3",
            &["lab.toml", "`train.steps` is 3, but must be a list"],
        ),
        ("schedule.method = [\"fpt-xy\"]", &["method=fpt-xy"]),
        (
            "schedule.method = [\"pt\", \"fpt-ld\"]",
            &["method=fpt-ld on mnli", "steps"],
        ),
        ("model = [\"a\", \"b\"]", &["`model` can't be swept"]),
        ("", &["no [sweep] section"]),
    ] {
        let lab = lab(wrong);
        refused(&sweep(&lab, &[]), parts);
        assert!(!lab.path("runs").exists(), "{wrong}");
    }
    let lab = lab(RATES);
    refused(
        &sweep(&lab, &["--set", "train.learning_rate=1"]),
        &["`train.learning_rate` is swept", "--set"],
    );
    refused(&sweep(&lab, &["--task", "mlni"]), &["mlni"]);
    // What help shows is one.
    let help = stdout(&lab.fpt(&["sweep", "--help"], ""));
    let section = help.split_once("  [sweep]\n").unwrap().1;
    let section: Vec<&str> = section.lines().map(str::trim).collect();
    let listed = sweep(
        &self::lab(&section.join("\n")),
        &["--dry-run", "--set", "train.steps=10"],
    );
    assert!(
        stderr(&listed).contains("40 runs in runs"),
        "{}",
        stderr(&listed)
    );
}
