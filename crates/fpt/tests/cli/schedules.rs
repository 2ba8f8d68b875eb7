//! Partial models and stages, through the program.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lab::{Lab, status, stderr, stdout};

/// Train into `run`, with `--set` for each of `settings`.
fn train(lab: &Lab, run: &str, task: &str, arguments: &[&str], settings: &[&str]) {
    let output = try_train(lab, run, task, arguments, settings);
    assert!(output.status.success(), "{}", stderr(&output));
}

fn try_train(
    lab: &Lab,
    run: &str,
    task: &str,
    arguments: &[&str],
    settings: &[&str],
) -> std::process::Output {
    let mut all = vec![
        "train", "--config", "lab.toml", "--task", task, "--out", run,
    ];
    all.extend(arguments);
    all.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    lab.fpt(&all, "")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn adapter(lab: &Lab, run: &str) -> Vec<u8> {
    fs::read(lab.path(run).join("adapter/adapter_model.safetensors")).unwrap()
}

const STAGES: &str = "schedule.partial_steps=[2, 1, 1]";

#[test]
fn progressive_training_grows_to_the_full_model() {
    let lab = Lab::new();
    let settings = ["train.steps=6", STAGES];
    train(&lab, "run", "squad2", &["--method", "fpt-cr"], &settings);
    let result = json(&lab.path("run/result.json"));
    assert_eq!(result["method"], "FPT-CR");
    assert_eq!(result["evaluated"], "full");
    let stages = result["stages"].as_array().unwrap();
    let sizes: Vec<(u64, u64, u64)> = stages
        .iter()
        .map(|stage| {
            let encoder = &stage["size"]["encoder"];
            assert_eq!(stage["size"]["decoder"], *encoder);
            let number = |value: &Value| value.as_u64().unwrap();
            (
                number(&stage["steps"]),
                number(&encoder["layers"]),
                number(&encoder["d_ff"]),
            )
        })
        .collect();
    assert_eq!(sizes, [(2, 3, 28), (1, 6, 56), (1, 9, 84), (2, 12, 112)]);

    // Every stage wrote down what it kept, and was evaluated on its own model, too.
    let selections = json(&lab.path("run/selections.json"));
    assert_eq!(
        selections[0]["encoder"]["layers"],
        serde_json::json!([0, 5, 11])
    );
    assert_eq!(
        selections[0]["decoder"]["neurons"][1]
            .as_array()
            .unwrap()
            .len(),
        28
    );
    assert_eq!(
        selections[3]["encoder"]["layers"].as_array().unwrap().len(),
        12
    );
    let has_dev: Vec<bool> = stages.iter().map(|stage| !stage["dev"].is_null()).collect();
    assert_eq!(has_dev, [true, true, true, false]);

    // What the stages took adds up to what the run took, and later steps cost more.
    let flops: Vec<f64> = stages
        .iter()
        .map(|s| s["flops"].as_f64().unwrap())
        .collect();
    assert_eq!(flops.iter().sum::<f64>(), result["flops"].as_f64().unwrap());
    let each: Vec<f64> = flops
        .iter()
        .zip(&sizes)
        .map(|(f, s)| f / s.0 as f64)
        .collect();
    assert!(each.is_sorted_by(|a, b| a < b), "{each:?}");
    // Only plain prompt tuning measures the bare model.
    assert!(result["no_prompt"].is_null());
}

#[test]
fn only_the_encoder_is_reduced_for_classification() {
    let lab = Lab::new();
    train(&lab, "run", "mnli", &["--method", "ld-1/4"], &[]);
    let size = &json(&lab.path("run/result.json"))["stages"][0]["size"];
    assert_eq!(size["encoder"]["layers"], 3);
    assert_eq!(size["decoder"]["layers"], 12);
}

#[test]
fn a_partial_model_is_evaluated_itself_and_its_prompt_on_the_full_model() {
    let lab = Lab::new();
    train(&lab, "run", "xsum", &["--method", "hd-1/2"], &[]);
    let result = json(&lab.path("run/result.json"));
    assert_eq!(result["evaluated"], "stage");
    assert_eq!(result["stages"][0]["size"]["encoder"]["heads"], 2);
    let score = |key: &str| result[key]["values"]["paper_rouge_l"].as_f64().unwrap();
    assert_ne!(score("reported"), score("reported_full"));
    // The prompt before the full model, evaluated anew.
    let arguments = ["eval", "--config", "lab.toml", "--task", "xsum", "--json"];
    let output = lab.fpt(
        &[&arguments[..], &["--adapter", "run/adapter"]].concat(),
        "",
    );
    let again: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(again["scores"], result["reported_full"]);
}

#[test]
fn prompt_and_optimizer_survive_a_stage() {
    let lab = Lab::new();
    let two_stages = "schedule.stages=[{steps=2}, {}]";
    train(&lab, "whole", "qqp", &[], &["train.steps=4"]);
    train(&lab, "parts", "qqp", &[], &["train.steps=4", two_stages]);
    // A boundary between two stages of full size changes nothing, to the bit.
    assert_eq!(adapter(&lab, "whole"), adapter(&lab, "parts"));
    for reset in ["train.reset_prompt=true", "train.reset_optimizer=true"] {
        let settings = ["train.steps=4", two_stages, reset, "eval.every=4"];
        train(&lab, "reset", "qqp", &[], &settings);
        assert_ne!(adapter(&lab, "whole"), adapter(&lab, "reset"), "{reset}");
        fs::remove_dir_all(lab.path("reset")).unwrap();
    }
}

#[test]
fn one_scoring_serves_all_runs() {
    let lab = Lab::new();
    train(&lab, "one", "mnli", &["--method", "fr-1/4"], &[]);
    let list = || -> Vec<_> {
        let entries = fs::read_dir(lab.path("cache")).unwrap();
        let mut found: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        found.sort();
        found
    };
    let first = list();
    assert_eq!(first.len(), 1);
    train(
        &lab,
        "two",
        "mnli",
        &["--method", "fr-3/4", "--seed", "1"],
        &[],
    );
    train(&lab, "three", "mnli", &["--method", "hd-1/2"], &[]);
    assert_eq!(list(), first);
    // What a smaller size keeps by score, a larger one keeps too.
    let kept = |run: &str| -> Vec<u64> {
        let selections = json(&lab.path(run).join("selections.json"));
        serde_json::from_value(selections[0]["encoder"]["neurons"][3].clone()).unwrap()
    };
    let (small, large) = (kept("one"), kept("two"));
    assert_eq!((small.len(), large.len()), (28, 84));
    assert!(small.iter().all(|neuron| large.contains(neuron)));

    // Another sample is another scoring.
    let settings = ["selection.score.examples=7"];
    train(&lab, "four", "mnli", &["--method", "fr-1/4"], &settings);
    assert_eq!(list().len(), 2);
}

#[test]
fn prompts_are_compared_and_carried_over() {
    let lab = Lab::new();
    train(&lab, "pt", "mnli", &[], &[]);
    train(&lab, "ld", "mnli", &["--method", "ld-1/2"], &[]);
    let output = lab.fpt(&["similarity", "pt", "ld", "--json"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["names"], serde_json::json!(["PT", "LD 1/2"]));
    let at = |a: usize, b: usize, key: &str| report["pairs"][a][b][key].as_f64().unwrap();
    for key in ["cosine", "activation_cosine", "activation_overlap"] {
        assert!((at(0, 0, key) - 1.0).abs() < 1e-6, "{key}");
        assert_eq!(at(0, 1, key), at(1, 0, key), "{key}");
        assert!(at(0, 1, key) < 1.0, "{key}");
    }
    assert_eq!(at(1, 1, "euclidean"), 0.0);
    assert!(at(0, 1, "euclidean") > 0.0);

    let output = lab.fpt(&["transfer", "pt", "ld", "--json"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        report["models"],
        serde_json::json!(["full model", "LD 1/2"])
    );
    // On its own model a prompt scores what its run says.
    for (place, run) in ["pt", "ld"].iter().enumerate() {
        let result = json(&lab.path(run).join("result.json"));
        let own = result["dev"]["values"]["accuracy"].as_f64().unwrap();
        assert_eq!(report["scores"][place][place].as_f64().unwrap(), own);
    }

    // As a start: with no step taken at a learning rate next to nothing, it is the prompt that it starts from.
    let start = "prompt.init={kind=\"adapter\", path=\"ld/adapter\"}";
    train(
        &lab,
        "from",
        "mnli",
        &[],
        &[start, "train.learning_rate=1e-30", "train.steps=1"],
    );
    assert_eq!(adapter(&lab, "from"), adapter(&lab, "ld"));
}

/// The message of a command that must fail, naming `parts`, and leave nothing behind.
fn assert_refused(lab: &Lab, arguments: &[&str], settings: &[&str], parts: &[&str]) {
    let output = try_train(lab, "refused", "squad2", arguments, settings);
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert!(!lab.path("refused").exists() && !lab.path("refused.partial").exists());
}

#[test]
fn schedules_that_make_no_sense() {
    let lab = Lab::new();
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["schedule.stages=[{steps=1}, {layers=4}]"],
            &["schedule", "full", "schedule.end = \"partial\""],
        ),
        (
            &["schedule.stages=[{steps=1, layers=13}, {}]"],
            &["schedule.stages[0]", "layers", "13", "12"],
        ),
        (
            &["schedule.stages=[{steps=0, layers=4}, {}]"],
            &["schedule.stages[0].steps", "0"],
        ),
        (
            &["schedule.method=fpt-ld", "schedule.partial_steps=[9, 9, 9]"],
            &["partial_steps"],
        ),
        (&["train.steps=0"], &["train.steps"]),
    ];
    for (settings, parts) in cases {
        assert_refused(&lab, &[], settings, parts);
    }
    assert_refused(&lab, &["--method", "fpt-xx"], &[], &["fpt-xx", "fpt-cr"]);
}

#[test]
fn scores_of_another_model() {
    let lab = Lab::new();
    train(&lab, "run", "squad2", &["--method", "fr-1/2"], &[]);
    let entry = fs::read_dir(lab.path("cache")).unwrap().next().unwrap();
    fs::rename(entry.unwrap().path(), lab.path("scores.json")).unwrap();
    let settings = ["selection.scores=scores.json"];
    train(&lab, "again", "squad2", &["--method", "fr-1/2"], &settings);

    // One weight changes, and it is another model.
    let path = lab.path("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_refused(
        &lab,
        &["--method", "fr-1/2"],
        &settings,
        &["scores.json", "another model", "selection.scores"],
    );
    fs::write(lab.path("scores.json"), "{").unwrap();
    let parts = ["scores.json", "damaged"];
    assert_refused(&lab, &["--method", "fr-1/2"], &settings, &parts);
}

#[test]
fn a_seed_that_collides_with_a_run_of_another_configuration() {
    let lab = Lab::new();
    train(&lab, "run", "mnli", &["--method", "ld-1/2"], &[]);
    let output = try_train(&lab, "run", "mnli", &["--method", "ld-1/4"], &[]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(
        message.contains("run") && message.contains("another configuration"),
        "{message}"
    );
    let kept = json(&lab.path("run/result.json"));
    assert_eq!(kept["method"], "LD 1/2");
}

#[test]
fn cost_prices_a_schedule_without_a_model() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let price = |name: &str| -> Vec<Value> {
        let path = configs.join(name);
        let output = Lab::new().fpt(&["cost", "--json", "--config", path.to_str().unwrap()], "");
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    // FLOPs columns of the paper's Tables 1 and 2.
    let large = [
        ("PT", 100.0),
        ("LD 1/4", 30.0),
        ("LD 1/2", 54.0),
        ("LD 3/4", 77.0),
        ("FR 1/4", 58.0),
        ("FR 1/2", 72.0),
        ("FR 3/4", 86.0),
        ("CR 1/4", 20.0),
        ("CR 1/2", 40.0),
        ("CR 3/4", 66.0),
        ("FPT-LD", 72.0),
        ("FPT-FR", 83.0),
        ("FPT-CR", 65.0),
    ];
    let xl = [
        ("PT", 100.0),
        ("FPT-LD", 86.0),
        ("FPT-FR", 84.0),
        ("FPT-CR", 74.0),
    ];
    for (rows, expected) in [
        (price("t5-large.toml"), &large[..]),
        (price("t5-xl.toml"), &xl[..]),
    ] {
        assert_eq!(rows.len(), expected.len());
        for (row, (method, percent)) in rows.iter().zip(expected) {
            assert_eq!(row["method"], *method);
            let ours = row["linear_percent"].as_f64().unwrap();
            assert!(
                (ours - percent).abs() < 1.0,
                "{method}: {ours} is not {percent}"
            );
        }
    }
}
