//! Stops from outside, and going on after them.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::lab::{Lab, stderr};

const LONG: [&str; 4] = ["--set", "train.steps=400", "--set", "eval.every=200"];

/// `fpt train --json`, its output a pipe.
fn start(lab: &Lab, more: &[&str]) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin("fpt"))
        .current_dir(lab.path(""))
        .args(["train", "--config", "lab.toml", "--task", "mnli"])
        .args(["--out", "run", "--json"])
        .args(LONG)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Until so many steps were told.
fn wait_for_steps(child: &mut Child, steps: usize) -> BufReader<std::process::ChildStdout> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut seen = 0;
    while seen < steps {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended");
        seen += usize::from(line.contains(r#""event":"step""#));
    }
    output
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Exit status and messages of a child whose output is read to its end.
fn ended(mut child: Child, mut output: impl Read) -> (Option<i32>, String) {
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    let mut messages = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut messages)
        .unwrap();
    (child.wait().unwrap().code(), messages)
}

/// That the same command goes on and ends.
fn goes_on(lab: &Lab) {
    assert!(lab.path("run.partial/checkpoints").is_dir());
    let output = lab.train("mnli", &[&LONG[..], &["--resume"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("goes on after step"), "{message}");
    assert!(!lab.path("run.partial").exists() && !lab.path("run/checkpoints").exists());
}

#[test]
fn signals_end_a_run_with_a_checkpoint() {
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("USR1", 138)] {
        let lab = Lab::new();
        let mut child = start(&lab, &[]);
        let output = wait_for_steps(&mut child, 3);
        signal(&child, name);
        let (code, messages) = ended(child, output);
        assert_eq!(code, Some(status), "{name}: {messages}");
        let said = format!("stopped by SIG{name} after step");
        assert!(messages.contains(&said), "{messages}");
        assert!(!messages.contains("error"), "{messages}");
        if name == "TERM" {
            goes_on(&lab);
        }
    }
}

#[test]
fn a_run_whose_reader_is_gone_ends() {
    let lab = Lab::new();
    let mut child = start(&lab, &[]);
    drop(wait_for_steps(&mut child, 3));
    let (code, messages) = ended(child, std::io::empty());
    assert_eq!(code, Some(141), "{messages}");
    goes_on(&lab);
}

#[test]
fn a_run_ends_with_what_started_it() {
    let lab = Lab::new();
    let mut child = start(&lab, &["--with-parent"]);
    let output = wait_for_steps(&mut child, 3);
    drop(child.stdin.take());
    let (code, messages) = ended(child, output);
    assert_eq!(code, Some(141), "{messages}");
    goes_on(&lab);
}

#[test]
fn a_time_limit_ends_a_run() {
    let lab = Lab::new();
    let output = lab.train("mnli", &[&LONG[..], &["--time-limit", "2500ms"]].concat());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(75), "{message}");
    assert!(message.contains("stopped by the time limit"), "{message}");
    goes_on(&lab);
}

/// SIGKILL leaves no time for anything: the last checkpoint counts.
#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let lab = Lab::new();
    let mut child = start(&lab, &["--checkpoint-steps", "10"]);
    let output = wait_for_steps(&mut child, 25);
    child.kill().unwrap();
    ended(child, output);
    goes_on(&lab);
    let metrics = fs::read_to_string(lab.path("run/metrics.jsonl")).unwrap();
    let steps = metrics.matches(r#""event":"step""#).count();
    assert_eq!(steps, 400);
}

#[test]
fn resume_wants_something_to_go_on_with() {
    let lab = Lab::new();
    let output = lab.train("mnli", &["--resume"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("no unfinished run"), "{message}");
}
