//! `fpt` in a laboratory.

use std::ops::Deref;
use std::process::Output;

use assert_cmd::Command;

pub(crate) struct Lab(fpt_lab::Lab);

impl Deref for Lab {
    type Target = fpt_lab::Lab;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self(fpt_lab::Lab::new())
    }

    /// `fpt` with arguments, in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("fpt").unwrap();
        command.current_dir(self.path("")).args(arguments);
        command
    }

    /// Run `fpt` with arguments and standard input.
    pub(crate) fn fpt(&self, arguments: &[&str], input: &str) -> Output {
        self.command(arguments).write_stdin(input).output().unwrap()
    }

    /// Run `fpt` with variables of the environment.
    pub(crate) fn fpt_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments)
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// `fpt train` of a task into `run`.
    pub(crate) fn train(&self, task: &str, more: &[&str]) -> Output {
        let mut arguments = vec![
            "train", "--config", "lab.toml", "--task", task, "--out", "run",
        ];
        arguments.extend(more);
        self.fpt(&arguments, "")
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The error that it ended with, without what was told before.
pub(crate) fn error_of(output: &Output) -> String {
    let message = stderr(output);
    let start = if message.starts_with("error: ") {
        Some(0)
    } else {
        message.find("\nerror: ").map(|line| line + 1)
    };
    start.map_or(message.clone(), |start| message[start..].to_owned())
}

/// That it did what it was asked for.
pub(crate) fn trained(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// The exit status of a refusal with this message: clap's where the arguments are wrong.
pub(crate) fn status(message: &str) -> Option<i32> {
    let of_clap = message.contains("try '--help'");
    Some(if of_clap { 2 } else { 1 })
}

/// That it was refused, and why.
pub(crate) fn refused(output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
