//! What users have and do, as the program meets it: the same file is met alike by every command.

use std::fs;

use serde_json::Value;

use crate::lab::{Lab, refused, stderr, stdout, trained};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

#[test]
fn pointers_of_git_lfs_are_told_from_files() {
    for name in [
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/config.json",
    ] {
        let lab = Lab::new();
        fs::write(lab.path(name), POINTER).unwrap();
        let parts = [name, "Git LFS", "git lfs pull"];
        refused(&lab.train("mnli", &[]), &parts);
        refused(&lab.fpt(&["predict", "--model", "model"], "a\n"), &parts);
    }
    let lab = Lab::new();
    let data = lab.path("data/mnli/train.tsv");
    fs::write(&data, POINTER).unwrap();
    let parts = ["train.tsv", "Git LFS", "git lfs pull"];
    refused(&lab.train("mnli", &[]), &parts);
    let check = ["data", "check", "--task", "mnli", "data/mnli/train.tsv"];
    let output = lab.fpt(&check, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("git lfs pull") || stderr(&output).contains("git lfs pull"));

    let lab = Lab::new();
    trained(&lab.train("mnli", &[]));
    fs::write(lab.path("run/adapter/adapter_model.safetensors"), POINTER).unwrap();
    fs::write(lab.path("prompt.npy"), POINTER).unwrap();
    for adapter in ["run/adapter", "prompt.npy"] {
        let predict = ["predict", "--model", "model", "--adapter", adapter];
        refused(&lab.fpt(&predict, "a\n"), &["Git LFS", adapter]);
    }
}

#[test]
fn what_is_cut_is_told() {
    let lab = Lab::new();
    let settings = ["--set", "lengths.max_source=9", "--set", "train.steps=1"];
    let output = lab.train("mnli", &settings);
    trained(&output);
    let told = stderr(&output);
    for split in ["train: 40 of 40", "dev: 12 of 12", "test: 12 of 12"] {
        let line = format!("{split} sources were cut to 9 tokens; the longest has ");
        assert!(told.contains(&line), "{told}");
    }
    let uncut = lab.fpt(&["eval", "--config", "lab.toml", "--task", "mnli"], "");
    trained(&uncut);
    assert!(!stderr(&uncut).contains("cut"), "{}", stderr(&uncut));
    let eval = [
        "eval",
        "--config",
        "lab.toml",
        "--task",
        "mnli",
        "--set",
        "lengths.max_source=9",
    ];
    let output = lab.fpt(&eval, "");
    trained(&output);
    assert!(stderr(&output).contains("12 of 12 sources were cut to 9 tokens"));

    // `data check` counts with the limit that it is given, or with that of an experiment.
    let check = |more: &[&str]| -> Value {
        let file = [
            "data",
            "check",
            "--task",
            "mnli",
            "data/mnli/dev_matched.tsv",
            "--json",
        ];
        let output = lab.fpt(&[&file[..], more].concat(), "");
        trained(&output);
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()["source"].clone()
    };
    let limited = check(&["--model", "model", "--max-source", "9"]);
    assert_eq!([&limited["limit"], &limited["over_limit"]], [9, 12]);
    let of_config = check(&["--config", "lab.toml"]);
    assert_eq!([&of_config["limit"], &of_config["over_limit"]], [100, 0]);
    let shorter = check(&["--config", "lab.toml", "--max-source", "9"]);
    assert_eq!([&shorter["limit"], &shorter["over_limit"]], [9, 12]);
    assert_eq!(check(&[])["limit"], 492);
}

#[test]
fn a_byte_order_mark_is_no_text_and_an_answer_is_a_line() {
    let lab = Lab::new();
    let text = "question: who lives in Kiel? context: the home of Anna is in Kiel.\n";
    let predict = |input: &str| {
        let output = lab.fpt(&["predict", "--model", "model", "--json"], input);
        trained(&output);
        stdout(&output)
    };
    let expected = predict(text);
    assert_eq!(predict(&format!("\u{feff}{text}")), expected);
    assert_eq!(predict(&text.replace('\n', "\r\n")), expected);
}

#[test]
fn a_submission_has_no_holes() {
    let lab = Lab::new();
    trained(&lab.train("qqp", &["--set", "train.steps=1"]));
    let eval = [
        "eval",
        "--config",
        "lab.toml",
        "--task",
        "qqp",
        "--split",
        "test",
        "--submission",
        "qqp.tsv",
    ];
    trained(&lab.fpt(&eval, ""));
    let whole = fs::read_to_string(lab.path("qqp.tsv")).unwrap();
    fs::remove_file(lab.path("qqp.tsv")).unwrap();
    lab.edit("data/qqp/test.tsv", |text| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[3] = lines[3].replacen('\t', " ", 1);
        lines.join("\n") + "\n"
    });
    refused(
        &lab.fpt(&eval, ""),
        &["1 rows of the test file", "test.tsv:4", "--submission"],
    );
    assert!(!lab.path("qqp.tsv").exists());
    assert_eq!(whole.lines().count(), 13);
}
