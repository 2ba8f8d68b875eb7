//! `cargo xtask reproduce`, from outside: stopped, killed, and with a run that is killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fpt_files::{Lock, Owner};
use fpt_lab::Lab;

const RUNS: [&str; 2] = ["mnli-pt-s0", "mnli-ld-1of2-s0"];

/// What stands for Cargo, which was here a moment ago: it says where it put `fpt`.
fn cargo(lab: &Lab) -> PathBuf {
    let fpt = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("fpt");
    assert!(fpt.is_file(), "test the workspace as a whole");
    let artifact = serde_json::json!({
        "reason": "compiler-artifact",
        "target": {"name": "fpt"},
        "executable": fpt,
    });
    let script = lab.path("cargo");
    if !script.exists() {
        fs::write(&script, format!("#!/bin/sh\necho '{artifact}'\n")).unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    }
    script
}

fn command(lab: &Lab) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env("CARGO", cargo(lab));
    command
        .args(["reproduce", "--jobs", "2", "--task", "mnli"])
        .args(["--method", "pt", "--method", "ld-1/2"])
        .args(["--set", "train.steps=300", "--set", "eval.every=300"])
        .args(["--checkpoint-steps", "20", "--out"])
        .arg(lab.path("runs"))
        .arg(lab.path("lab.toml"))
        .stdin(Stdio::null());
    command
}

/// An experiment, and the processes that its runs have had so far.
struct Experiment<'a> {
    lab: &'a Lab,
    seen: BTreeSet<String>,
}

/// One that is at work; it ends with its test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Experiment<'_> {
    /// Start it, and wait until both runs have taken steps. Returns the processes of the runs.
    fn start(&mut self) -> (Running, Vec<String>) {
        let child = command(self.lab)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut running = Running(child.unwrap());
        let processes = RUNS.map(|run| {
            let run = self.lab.path("runs").join(format!("{run}.partial"));
            loop {
                let lock = fs::read_to_string(run.join("lock")).unwrap_or_default();
                let process = lock.split(' ').nth(1).unwrap_or_default().to_string();
                let metrics = fs::metadata(run.join("metrics.jsonl"));
                let is_new = !process.is_empty() && !self.seen.contains(&process);
                if is_new && metrics.is_ok_and(|file| file.len() > 0) {
                    self.seen.insert(process.clone());
                    return process;
                }
                let ended = running.0.try_wait().unwrap();
                assert!(ended.is_none(), "it ended: {ended:?}");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        (running, processes.to_vec())
    }
}

fn kill(process: &str, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, process]).status();
    assert!(status.unwrap().success());
}

/// Exit status and messages.
fn ended(mut running: Running) -> (Option<i32>, String) {
    let messages = std::io::read_to_string(running.0.stderr.take().unwrap()).unwrap();
    (running.0.wait().unwrap().code(), messages)
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_experiment_leaves_nobody_behind_and_goes_on() {
    let lab = Lab::new();
    let mut experiment = Experiment {
        lab: &lab,
        seen: BTreeSet::new(),
    };
    let partial = |run: &str| lab.path("runs").join(format!("{run}.partial"));

    // A signal to it alone ends its runs, each with a checkpoint.
    let (running, _) = experiment.start();
    kill(&running.0.id().to_string(), "TERM");
    let (code, said) = ended(running);
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("stopped by SIGTERM"), "{said}");
    for run in RUNS {
        let owner = Lock::owner(partial(run));
        assert!(matches!(owner, Ok(Owner::Nobody(Some(_)))), "{owner:?}");
        assert!(partial(run).join("checkpoints").is_dir());
    }

    // Killed, it can't tell them; the same command is given at once, while they end.
    let (running, _) = experiment.start();
    drop(running);

    // A run that is killed is told by its signal, and the other one comes to its end.
    let (running, processes) = experiment.start();
    kill(&processes[0], "KILL");
    let (code, said) = ended(running);
    assert_eq!(code, Some(1), "{said}");
    let told = format!("{}: killed by SIGKILL; the same command goes on", RUNS[0]);
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("1 of 2 runs failed"), "{said}");
    assert!(lab.path("runs").join(RUNS[1]).is_dir() && partial(RUNS[0]).is_dir());

    let output = command(&lab).output().unwrap();
    assert!(output.status.success(), "{}", messages(&output));
    for run in RUNS {
        let metrics = lab.path("runs").join(run).join("metrics.jsonl");
        let metrics = fs::read_to_string(metrics).unwrap();
        assert_eq!(metrics.matches(r#""event":"step""#).count(), 300);
    }
}
