//! `cargo xtask pretrain`, from outside: it is killed, stopped, and runs out of room.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fpt_pretrain::{ModelShape, PretrainConfig};
use tempfile::TempDir;

/// A directory with a small recipe, `recipe.toml`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let recipe = PretrainConfig {
            steps: 300,
            batch_size: 4,
            shards: 2,
            pool: 4,
            save_every: 50,
            probe_examples: 1,
            model: ModelShape {
                d_model: 16,
                d_kv: 8,
                d_ff: 16,
                num_heads: 2,
                num_layers: 1,
                num_decoder_layers: 1,
                relative_attention_num_buckets: 8,
                relative_attention_max_distance: 16,
            },
            ..PretrainConfig::from_file(recipes.join("pretrain-mini.toml")).unwrap()
        };
        let text = toml::to_string(&recipe).unwrap();
        fs::write(place.path("recipe.toml"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, after a line of shell.
    fn command(&self, before: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{before}exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_xtask"))
            .args(["pretrain", "--config", "recipe.toml", "--log-every", "1"])
            .args(["--out", "model", "--state", "state"])
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> Output {
        let output = self.command("").output().unwrap();
        assert!(output.status.success(), "{}", messages(&output));
        output
    }

    fn start(&self) -> Running {
        let mut command = self.command("");
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Running { child, said }
    }

    /// The names of files in a directory, sorted.
    fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn weights(&self) -> Vec<u8> {
        fs::read(self.path("model/model.safetensors")).unwrap()
    }
}

struct Running {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Running {
    /// Until a line begins so; nothing if the process ends before.
    fn wait_for(&mut self, start: &str) -> Option<()> {
        let mut line = String::new();
        while !line.starts_with(start) {
            line.clear();
            if self.said.read_line(&mut line).unwrap() == 0 {
                return None;
            }
        }
        Some(())
    }

    /// Exit status, and the rest of what it says.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

/// It ends with its test, however that ends.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn whole() -> Vec<u8> {
    let place = Place::new();
    place.run();
    place.weights()
}

#[test]
fn signals_end_a_run_with_a_checkpoint() {
    let place = Place::new();
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let mut running = place.start();
        running.wait_for("step ").unwrap();
        let kill = Command::new("kill")
            .args(["-s", name, &running.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let (code, said) = running.ended();
        assert_eq!(code, Some(status), "{said}");
        let told = format!("stopped by SIG{name} after step ");
        let rest = said.split_once(&told).unwrap().1;
        let taken: usize = rest.split_once(';').unwrap().0.parse().unwrap();
        assert!(
            rest.contains("the same command goes on from there"),
            "{said}"
        );
        assert!(!said.contains("error"), "{said}");
        let checkpoint = format!("state/step-{taken:010}.fpt");
        assert!(place.path(&checkpoint).is_file());
    }
    let output = place.run();
    let said = messages(&output);
    assert!(said.contains("goes on after step "), "{said}");
    assert!(place.weights() == whole());
}

#[test]
fn a_time_limit_ends_a_run() {
    let place = Place::new();
    let mut running = place.start();
    running.wait_for("step 1: loss").unwrap();
    // The directory belongs to it.
    let second = place.command("").output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", messages(&second));
    let owner = format!("process {} is writing", running.child.id());
    assert!(messages(&second).contains(&owner), "{}", messages(&second));
    drop(running);

    let limited = place.command("").args(["--time-limit", "0s"]).output();
    let said = messages(limited.as_ref().unwrap());
    assert_eq!(limited.unwrap().status.code(), Some(75), "{said}");
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bits() {
    let place = Place::new();
    // Between steps, where a checkpoint is being written, whose skills are told after it, and at the end.
    for moment in [
        "step 3: loss",
        "step 50: loss",
        "step 50: skills",
        "step 100: loss",
        "step 130: loss",
        "step 150: loss",
        "step 200: skills",
        "step 300: loss",
        "step 300: skills",
    ] {
        place.start().wait_for(moment);
    }
    place.run();
    assert!(place.weights() == whole());
    // Nothing that killed processes left is there.
    assert_eq!(
        place.names("state"),
        ["lock", "step-0000000250.fpt", "step-0000000300.fpt"]
    );
    let mut found = place.names("");
    found.retain(|name| name != "set-aside");
    assert_eq!(found, ["model", "recipe.toml", "state"]);
}

#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    // No file may be larger than 10 KB, which neither a checkpoint nor the weights fit in.
    let output = place
        .command("trap '' XFSZ; ulimit -f 20; ")
        .output()
        .unwrap();
    let said = messages(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("warning: there is no checkpoint: "), "{said}");
    assert!(
        said.contains("error: ") && !place.path("model").exists(),
        "{said}"
    );

    // After some checkpoints there is no room.
    place.start().wait_for("step 150: skills").unwrap();
    let before = place.names("state");
    let output = place
        .command("trap '' XFSZ; ulimit -f 20; ")
        .output()
        .unwrap();
    let said = messages(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("goes on after step "), "{said}");
    assert_eq!(place.names("state"), before);
    // It kills, too.
    let output = place.command("ulimit -f 20; ").output().unwrap();
    assert_eq!(output.status.code(), None);
    let said = messages(&place.run());
    assert!(said.contains("goes on after step "), "{said}");
    assert!(place.weights() == whole());
    let left = place.names("state");
    assert!(left.iter().all(|name| !name.ends_with(".tmp")), "{left:?}");
}
