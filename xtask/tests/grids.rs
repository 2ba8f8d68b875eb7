//! `cargo xtask reproduce`, from outside. In place of Cargo, which it starts to build `fpt`, is a script here that tells
//! where that lies.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fpt_lab::{Lab, assert_same, outcome};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// A process that ends with its test, however that ends.
struct Running(Option<Child>);

impl Running {
    fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Grid(Lab);

impl Grid {
    fn new() -> Self {
        let grid = Self(Lab::new());
        let program = grid.0.path("fpt");
        fs::copy(fpt(), &program).unwrap();
        grid.cargo("");
        grid
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// A program in the directory.
    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A Cargo that does this first.
    fn cargo(&self, before: &str) {
        let fpt = serde_json::json!({
            "reason": "compiler-artifact", "target": { "name": "fpt" }, "executable": self.path("fpt"),
        });
        self.script("cargo", &format!("{before}\ncat <<'end'\n{fpt}\nend"));
    }

    /// `cargo xtask reproduce` of a small grid into `runs`.
    fn start(&self, more: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(self.path(""))
            .args(["reproduce", "lab.toml", "--out", "runs", "--task", "mnli"])
            .args(more)
            .env("CARGO", self.path("cargo"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    fn run(&self, more: &[&str]) -> Output {
        self.start(more).end()
    }

    /// Processes that have something of this directory in their command line.
    fn processes(&self) -> Vec<String> {
        let place = self.path("").display().to_string();
        let place = place.trim_end_matches('/');
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            if line.contains(place) || directory == Path::new(place) {
                found.push(line);
            }
        }
        found
    }
}

/// The program that is built with these tests.
fn fpt() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("fpt");
    assert!(
        path.is_file(),
        "run the tests of the whole workspace: {} is not built",
        path.display()
    );
    path
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ended(output: &Output, code: i32, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Running, name: &str) {
    let number = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &number]).status();
    assert!(status.unwrap().success());
}

const METHODS: [&str; 6] = ["--method", "pt", "--method", "cr-1/2", "--method", "fpt-cr"];
const SETTINGS: [&str; 4] = ["--set", "schedule.partial_steps=[1, 1, 1]", "--steps", "5"];

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&METHODS[..], &SETTINGS, more].concat()
}

#[test]
fn the_number_of_jobs_changes_no_bit() {
    let mut all = Vec::new();
    for jobs in ["1", "2", "3"] {
        let grid = Grid::new();
        ended(&grid.run(&small(&["--jobs", jobs])), 0, &[]);
        all.push(outcome(&grid.path("runs")));
    }
    assert!(all[0].contains_key("similarity-mnli.json"));
    assert!(all[0].contains_key("equal-cost.svg"));
    assert!(all[0].contains_key("mnli-fpt-cr-s0/adapter/adapter_model.safetensors"));
    assert_same(&all[1], &all[0], "two jobs");
    assert_same(&all[2], &all[0], "three jobs");
}

#[test]
fn a_directory_of_runs_belongs_to_one_experiment_at_a_time() {
    let alone = Grid::new();
    ended(&alone.run(&small(&[])), 0, &[]);
    let expected = outcome(&alone.path("runs"));

    // At once: the second waits for the first, or tells that it is there.
    let grid = Grid::new();
    let [first, second] = [(); 2].map(|()| grid.start(&small(&[])));
    let numbers = [first.id(), second.id()];
    let mut ends = 0;
    for child in [first, second] {
        let output = child.end();
        if output.status.success() {
            ends += 1;
        } else {
            let holder =
                |number: &u32| stderr(&output).contains(&format!("process {number} is writing it"));
            assert!(numbers.iter().any(holder), "{}", stderr(&output));
            ended(&output, 1, &["cannot use runs"]);
        }
    }
    assert!(ends > 0);
    assert_same(&outcome(&grid.path("runs")), &expected, "two at once");

    // While another is at work for long, nothing is touched.
    let grid = Grid::new();
    grid.cargo("touch building; while [ ! -e built ]; do sleep 0.05; done");
    let first = grid.start(&small(&[]));
    wait_for("the build", || grid.path("building").exists());
    let holder = format!("process {}", first.id());
    ended(&grid.run(&small(&[])), 1, &["cannot use runs", &holder]);
    fs::write(grid.path("built"), "").unwrap();
    ended(&first.end(), 0, &[]);
    assert_same(&outcome(&grid.path("runs")), &expected, "undisturbed");
}

/// A grid of two runs, one after the other; after the first `replace` changes what it has read.
fn replaced(grid: &Grid, replace: impl FnOnce(&Lab)) -> Output {
    // The second run waits for us.
    fs::rename(grid.path("fpt"), grid.path("real")).unwrap();
    grid.script(
        "fpt",
        "case \"$*\" in *cr-1/2*) touch waiting; while [ ! -e replaced ]; do sleep 0.05; done;; esac\n\
         exec ./real \"$@\"",
    );
    let child = grid.start(&["--method", "pt", "--method", "cr-1/2", "--jobs", "1"]);
    wait_for("the first run", || grid.path("waiting").exists());
    replace(&grid.0);
    fs::write(grid.path("replaced"), "").unwrap();
    child.end()
}

#[test]
fn runs_before_and_after_data_were_replaced_are_not_mixed() {
    let grid = Grid::new();
    let output = replaced(&grid, |lab| {
        lab.edit("data/mnli/train.tsv", |text| text.replacen(". ", ", ", 1));
    });
    // The run of the old data is named, and is beside the other in no report.
    ended(
        &output,
        1,
        &[
            "1 of 2 runs",
            "mnli-pt-s0: ",
            "the train split",
            "no report",
            "--force-new",
        ],
    );
    assert!(!grid.path("runs/index.html").exists());
    assert!(grid.path("runs/mnli-pt-s0/result.json").exists());
    // Nor in one that is asked for.
    let report = Command::new(fpt())
        .arg("report")
        .arg(grid.path("runs"))
        .output()
        .unwrap();
    ended(
        &report,
        1,
        &["mnli-cr-1of2-s0", "mnli-pt-s0", "the train split"],
    );

    // The way out.
    ended(
        &grid.run(&["--method", "pt", "--method", "cr-1/2"]),
        1,
        &["mnli-pt-s0", "--force-new"],
    );
    let again = grid.run(&["--method", "pt", "--method", "cr-1/2", "--force-new"]);
    ended(&again, 0, &["set-aside/mnli-pt-s0-1"]);
    let page = fs::read_to_string(grid.path("runs/index.html")).unwrap();
    assert!(page.contains("cargo xtask reproduce lab.toml --out runs --task mnli --method pt"));
    assert!(grid.path("runs/pages/mnli-pt-s0.html").exists());
}

#[test]
fn runs_before_and_after_the_model_was_replaced_are_not_mixed() {
    let grid = Grid::new();
    let output = replaced(&grid, |lab| {
        let path = lab.path("model/model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    });
    ended(
        &output,
        1,
        &[
            "1 of 2 runs",
            "mnli-pt-s0: ",
            "the model's weights",
            "no report",
        ],
    );
    assert!(!grid.path("runs/index.html").exists());
    assert!(!grid.path("runs/similarity-mnli.json").exists());
}

#[test]
fn a_stop_while_cargo_builds_ends_cargo_and_says_so() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let grid = Grid::new();
        // It starts compilers, which know nothing of us.
        grid.cargo("sleep 1000 & touch building; sleep 1000; exit 1");
        let child = grid.start(&["--method", "pt"]);
        wait_for("the build", || grid.path("building").exists());
        signal(&child, name);
        let output = child.end();
        let said = format!("stopped by SIG{name} while Cargo built fpt");
        ended(&output, code, &[&said]);
        assert_eq!(grid.processes(), [""; 0]);
        // Nobody holds the directory.
        grid.cargo("");
        ended(&grid.run(&["--method", "pt"]), 0, &[]);
    }
}

/// An `fpt` that takes its time to compare prompts, as it does with large models.
fn slow_to_compare(grid: &Grid) {
    fs::rename(grid.path("fpt"), grid.path("real")).unwrap();
    let slow = "case \"$1\" in similarity) touch comparing; cat >/dev/null; exit 9;; esac\nexec ./real \"$@\"";
    grid.script("fpt", slow);
}

#[test]
fn a_stop_while_prompts_are_compared_leaves_no_process() {
    for name in ["TERM", "KILL"] {
        let grid = Grid::new();
        slow_to_compare(&grid);
        let child = grid.start(&["--method", "pt", "--method", "cr-1/2"]);
        wait_for("the comparison", || grid.path("comparing").exists());
        signal(&child, name);
        let output = child.end();
        if name == "TERM" {
            ended(
                &output,
                143,
                &["stopped by SIGTERM while prompts were compared"],
            );
        }
        wait_for("the end of all processes", || grid.processes().is_empty());
        assert!(!grid.path("runs/similarity-mnli.json").exists());
        fs::rename(grid.path("real"), grid.path("fpt")).unwrap();
        ended(
            &grid.run(&["--method", "pt", "--method", "cr-1/2"]),
            0,
            &["2 of 2 runs are finished"],
        );
        assert!(grid.path("runs/similarity-mnli.json").exists());
    }
}

#[test]
fn a_stop_while_runs_are_trained_leaves_no_process() {
    for (name, code) in [("TERM", Some(143)), ("INT", Some(130)), ("KILL", None)] {
        let grid = Grid::new();
        let long = [
            "--method", "pt", "--method", "cr-1/2", "--steps", "3000", "--jobs", "2",
        ];
        let child = grid.start(&long);
        let metrics = ["mnli-pt-s0", "mnli-cr-1of2-s0"]
            .map(|name| grid.path(&format!("runs/{name}.partial/metrics.jsonl")));
        let has_begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 500);
        wait_for("the first steps", || metrics.iter().all(has_begun));
        signal(&child, name);
        let output = child.end();
        assert_eq!(output.status.code(), code, "{}", stderr(&output));
        wait_for("the end of all processes", || grid.processes().is_empty());
        for path in metrics {
            assert!(path.with_file_name("checkpoints").is_dir(), "{name}");
        }
    }
}
