//! The whole way on a model with the files of google/t5-large-lm-adapt and data in the publishers' files:
//! `t5_large_layout/make_fixture.py` makes the model, with all 24 + 24 layers and a width of 8.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab::{Lab, stderr, stdout};

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A laboratory with `configs/t5-large.toml` as it is, but for the model's and the data's place and a schedule that is
/// as long as a test may be.
fn laboratory() -> Lab {
    let lab = Lab::new();
    fs::create_dir(lab.path("large")).unwrap();
    for file in ["config.json", "pytorch_model.bin"] {
        let from = here("tests/cli/t5_large_layout").join(file);
        fs::copy(from, lab.path("large").join(file)).unwrap();
    }
    let tokenizer = here("../fpt-t5/tests/tokenizer/options.model");
    fs::copy(tokenizer, lab.path("large/spiece.model")).unwrap();
    let config = fs::read_to_string(here("../../configs/t5-large.toml")).unwrap();
    let config = config
        .replace("google/t5-large-lm-adapt", "large")
        .replace("models/t5-large-lm-adapt.json", "large/config.json")
        .replace("../data", "data")
        .replace("steps = 30000", "steps = 8")
        .replace("every = 500", "every = 4")
        .replace("[6000, 6000, 6000]", "[1, 2, 2]")
        .replace("[704, 1408, 2112]", "[3, 6, 9]");
    fs::write(lab.path("large.toml"), config).unwrap();
    // The leaderboards' test files have no answers.
    let test = lab.path("data/mnli/test_matched.tsv");
    let text = fs::read_to_string(&test).unwrap();
    let unlabelled = text.lines().map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        columns[..columns.len() - 1].join("\t") + "\n"
    });
    let unlabelled: String = unlabelled.collect();
    fs::write(&test, unlabelled).unwrap();
    lab
}

#[test]
#[allow(clippy::too_many_lines, reason = "one run is used in all ways")]
fn training_evaluation_submission_and_answers() {
    let lab = laboratory();
    let run = |arguments: &[&str], input: &str| {
        let output = lab.fpt(arguments, input);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        output
    };
    let on = ["--config", "large.toml", "--task", "mnli"];

    let plan = run(
        &[
            &["train"],
            &on[..],
            &["--method", "fpt-cr", "--dry-run", "--out", "run"],
        ]
        .concat(),
        "",
    );
    let plan = stdout(&plan);
    assert!(
        plan.contains("24+24 layers") && plan.contains("Everything it needs is here"),
        "{plan}"
    );

    run(
        &[&["train"], &on[..], &["--method", "fpt-cr", "--out", "run"]].concat(),
        "",
    );
    let result: Value =
        serde_json::from_str(&fs::read_to_string(lab.path("run/result.json")).unwrap()).unwrap();
    assert_eq!(result["steps"], 8);
    let layers: Vec<u64> = result["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["size"]["encoder"]["layers"].as_u64().unwrap())
        .collect();
    assert_eq!(layers, [6, 12, 18, 24]);
    // Reported is dev: of test nobody has the answers.
    assert_eq!(result["dev"], result["reported"]);

    let adapter = ["--adapter", "run/adapter"];
    run(
        &[&["eval"], &on[..], &adapter, &["--split", "dev"]].concat(),
        "",
    );
    let submit = |to| {
        let submission = ["--split", "test", "--submission", to];
        run(&[&["eval"], &on[..], &adapter, &submission].concat(), "")
    };
    submit("answers.tsv");
    let submission = fs::read_to_string(lab.path("answers.tsv")).unwrap();
    // In a directory the file has the leaderboard's name.
    submit("data");
    let named = fs::read_to_string(lab.path("data/MNLI-m.tsv")).unwrap();
    assert_eq!(named, submission);
    assert_eq!(submission.lines().next(), Some("index\tprediction"));
    assert_eq!(submission.lines().count(), 13);

    let predict = [
        "predict",
        "--model",
        "large",
        "--adapter",
        "run/adapter",
        "--num-beams",
        "2",
        "--max-new-tokens",
        "5",
    ];
    let output = run(
        &predict,
        "hypothesis: a. premise: b.\nhypothesis: c. premise: d.\n",
    );
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(
        stderr(&output).contains("2 answers in"),
        "{}",
        stderr(&output)
    );

    // The same model as safetensors in shards gives the same answers.
    run(
        &[
            "convert",
            "--model",
            "large",
            "--out",
            "sharded",
            "--max-shard-size",
            "20000",
        ],
        "",
    );
    assert!(lab.path("sharded/model.safetensors.index.json").exists());
    assert!(lab.path("sharded/spiece.model").exists());
    let mut again = predict;
    again[2] = "sharded";
    assert_eq!(
        stdout(&run(
            &again,
            "hypothesis: a. premise: b.\nhypothesis: c. premise: d.\n"
        )),
        stdout(&output)
    );
    let refused = lab.fpt(&["convert", "--model", "large", "--out", "sharded"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("holds a model already"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn unlabelled_splits_are_for_submissions_only() {
    let lab = laboratory();
    let on = ["--config", "large.toml", "--task", "mnli"];
    let reported = [
        &["train"],
        &on[..],
        &["--out", "run", "--set", "eval.report=test"],
    ]
    .concat();
    let submission = [&["eval"], &on[..], &["--split", "test"]].concat();
    for (arguments, parts) in [
        (reported, ["eval.report", "--submission"]),
        (submission, ["has no answers", "--submission"]),
    ] {
        let output = lab.fpt(&arguments, "");
        assert_eq!(output.status.code(), Some(1));
        for part in parts {
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    }
}

#[test]
fn what_is_missing_is_listed_with_the_way_to_get_it() {
    let lab = Lab::new();
    let configs = here("../../configs");
    for (config, name) in [
        ("t5-large.toml", "google/t5-large-lm-adapt"),
        ("t5-xl.toml", "google/t5-xl-lm-adapt"),
        ("flan-t5-base.toml", "google/flan-t5-base"),
    ] {
        let config = configs.join(config).display().to_string();
        let arguments = [
            "train",
            "--config",
            &config,
            "--task",
            "squad2",
            "--method",
            "fpt-cr",
            "--out",
            "run",
            "--dry-run",
            "--json",
            "--set",
            "data=nowhere",
        ];
        let output = lab.fpt_in(&arguments, &[("HF_HOME", "cache")]);
        assert!(output.status.success(), "{}", stderr(&output));
        let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(plan["model"]["name"], name);
        assert_eq!(plan["stages"].as_array().unwrap().len(), 4);
        let missing = plan["missing"].as_array().unwrap();
        assert_eq!(missing.len(), 3, "{missing:?}");
        let how = |part: usize| missing[part]["how"].as_str().unwrap();
        assert!(how(0).contains(&format!("hf download {name}")));
        assert_eq!(
            how(1),
            "(mkdir -p nowhere/squad2 && cd nowhere/squad2 && curl -fL --remote-name-all \
             'https://rajpurkar.github.io/SQuAD-explorer/dataset/{train,dev}-v2.0.json')"
        );
    }
    // A model of the hub that is not there, without a network to get it from.
    let output = lab.fpt_in(
        &["predict", "--model", "google/t5-large-lm-adapt"],
        &[("HF_HOME", "cache"), ("HF_HUB_OFFLINE", "1")],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("google/t5-large-lm-adapt"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn data_is_checked() {
    let lab = Lab::new();
    let check = [
        "data",
        "check",
        "--task",
        "mnli",
        "--model",
        "model",
        "data/mnli/train.tsv",
    ];
    let output = lab.fpt(&check, "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("entailment"),
        "{}",
        stdout(&output)
    );
    let output = lab.fpt(&[&check[..], &["--json"]].concat(), "");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["examples"], 40);

    lab.edit("data/mnli/train.tsv", |text| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        for line in [5, 9] {
            let columns: Vec<&str> = lines[line].split('\t').collect();
            lines[line] = columns[..columns.len() - 1].join("\t") + "\tperhaps";
        }
        lines.join("\n") + "\n"
    });
    let output = lab.fpt(&check, "");
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains('6') && text.contains("10") && text.contains("perhaps"),
        "{text}"
    );
}
