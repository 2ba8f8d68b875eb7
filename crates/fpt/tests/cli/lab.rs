//! A laboratory in a temporary directory: the shipped model, a little data, and an experiment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

pub struct Lab {
    directory: TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Self { directory };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mini-world/model");
        fs::create_dir(lab.path("model")).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(shipped.join(file), lab.path("model").join(file)).unwrap();
        }
        let options = fpt_world::TaskOptions {
            seed: 3,
            train: 40,
            dev: 12,
            test: 12,
        };
        fpt_world::write_tasks(lab.path("data"), &options).unwrap();
        fs::write(lab.path("lab.toml"), EXPERIMENT).unwrap();
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Change a text file.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }

    /// `fpt` with arguments, in this directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("fpt").unwrap();
        command.current_dir(self.directory.path()).args(arguments);
        command
    }

    /// Run `fpt` with arguments and standard input.
    pub fn fpt(&self, arguments: &[&str], input: &str) -> Output {
        self.command(arguments).write_stdin(input).output().unwrap()
    }

    /// Run `fpt` with variables of the environment.
    pub fn fpt_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments)
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// `fpt train` of a task into `run`.
    pub fn train(&self, task: &str, more: &[&str]) -> Output {
        let mut arguments = vec![
            "train", "--config", "lab.toml", "--task", task, "--out", "run",
        ];
        arguments.extend(more);
        self.fpt(&arguments, "")
    }
}

const EXPERIMENT: &str = r#"
model = "model"
data = "data"
tasks = ["mnli", "qqp", "squad2", "record", "xsum"]

[prompt]
length = 4
init = { kind = "uniform" }

[train]
steps = 3
batch_size = 8
learning_rate = 0.05
weight_decay = 1e-5
gradient_clip = 1.0

[eval]
every = 2
batch_size = 6

[lengths]
max_source = 100
max_target = 12
pad_to = { multiple = 4 }

[task.xsum.train]
steps = 2
"#;

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
