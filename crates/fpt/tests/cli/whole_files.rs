//! Files that appear whole or not at all, and a cache that nothing depends on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;

use crate::lab::{Lab, stderr, stdout};

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// `fpt convert` that may write files of 25 KB at most; a larger write fails, or ends the process.
#[cfg(unix)]
fn convert_with_limit(lab: &Lab, out: &str, fails: bool) -> std::process::Output {
    let ignore = if fails { "trap '' XFSZ; " } else { "" };
    let program = Command::cargo_bin("fpt").unwrap();
    let script = format!("{ignore}ulimit -f 50; exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(program.get_program())
        .args(["convert", "--model", "model", "--out", out])
        .args(["--max-shard-size", "20000"])
        .current_dir(lab.path(""))
        .output()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn a_conversion_that_fails_midway_can_be_tried_again() {
    let lab = Lab::new();
    fs::create_dir(lab.path("there")).unwrap();
    for out in ["new", "there"] {
        let before = names(&lab.path(""));
        let output = convert_with_limit(&lab, out, true);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains(&format!("write the model to {out}")),
            "{message}"
        );
        assert_eq!(names(&lab.path("")), before);
        assert!(names(&lab.path(out)).is_empty());

        // Killed, the process has no time to clear away.
        let output = convert_with_limit(&lab, out, false);
        assert_eq!(output.status.code(), None, "{}", stderr(&output));
        let left = [names(&lab.path("")), names(&lab.path(out))].concat();
        assert!(left.iter().any(|name| name.ends_with(".tmp")), "{left:?}");
        assert!(
            !names(&lab.path(out))
                .iter()
                .any(|name| name.starts_with("model"))
        );

        let again = lab.fpt(&["convert", "--model", "model", "--out", out], "");
        assert!(again.status.success(), "{}", stderr(&again));
        // But the next one has.
        let expected = ["config.json", "model.safetensors", "tokenizer.json"];
        assert_eq!(names(&lab.path(out)), expected);
        assert!(
            names(&lab.path(""))
                .iter()
                .all(|name| !name.ends_with(".tmp"))
        );
        let refused = lab.fpt(&["convert", "--model", "model", "--out", out], "");
        assert!(stderr(&refused).contains("holds a model already"));
    }
}

#[test]
fn reports_at_the_same_time_are_all_whole() {
    let lab = Lab::new();
    let output = lab.train("mnli", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::create_dir(lab.path("runs")).unwrap();
    fs::rename(lab.path("run"), lab.path("runs/mnli-pt-s0")).unwrap();
    let report = || {
        let output = lab.fpt(&["report", "runs"], "");
        assert!(output.status.success(), "{}", stderr(&output));
    };
    let files = [
        "index.html",
        "pages/mnli-pt-s0.html",
        "report.md",
        "results.csv",
        "results.json",
    ];
    let read = || files.map(|name| fs::read_to_string(lab.path("runs").join(name)).unwrap());
    report();
    let alone = read();
    thread::scope(|scope| {
        let writers = [0; 3].map(|_| scope.spawn(|| (0..3).for_each(|_| report())));
        while writers.iter().any(|writer| !writer.is_finished()) {
            assert_eq!(read(), alone);
        }
    });
    assert_eq!(read(), alone);
    let mut expected = vec!["index.html", "mnli-pt-s0", "pages"];
    expected.extend(&files[2..]);
    assert_eq!(names(&lab.path("runs")), expected);
}

/// The warnings of a training on a quarter of the neurons, and its prompt.
fn train(lab: &Lab, cache: &str) -> (Vec<String>, Vec<u8>) {
    let output = lab.train("mnli", &["--method", "fr-1/4", "--json", "--cache", cache]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    let events = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let warnings = events
        .filter(|event| event["event"] == "warning")
        .map(|event| event["message"].as_str().unwrap().to_string())
        .collect();
    let adapter = fs::read(lab.path("run/adapter/adapter_model.safetensors")).unwrap();
    fs::remove_dir_all(lab.path("run")).unwrap();
    (warnings, adapter)
}

#[test]
fn nothing_about_a_cache_stops_a_run() {
    let lab = Lab::new();
    let (warnings, prompt) = train(&lab, "cache");
    assert!(warnings.is_empty(), "{warnings:?}");
    let [name] = &names(&lab.path("cache"))[..] else {
        panic!("one file of scores");
    };
    let file = lab.path("cache").join(name);
    let whole = fs::read_to_string(&file).unwrap();
    let first_digit = whole.find("0.").unwrap() + 2;
    let mut flipped = whole.clone().into_bytes();
    flipped[first_digit] ^= 1;
    for damaged in [
        &flipped[..],
        b"",
        &whole.as_bytes()[..whole.len() / 2],
        b"[[[[",
    ] {
        fs::write(&file, damaged).unwrap();
        let (warnings, again) = train(&lab, "cache");
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}");
        };
        assert!(
            warning.contains(name) && warning.contains("damaged"),
            "{warning}"
        );
        assert!(again == prompt);
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    }
    assert!(train(&lab, "cache").0.is_empty());

    // No directory, and nobody can make it one.
    fs::write(lab.path("file"), "").unwrap();
    let (warnings, again) = train(&lab, "file");
    let kept = warnings
        .iter()
        .any(|it| it.contains("not kept for other runs"));
    assert!(kept, "{warnings:?}");
    assert!(again == prompt);
}
