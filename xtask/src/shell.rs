//! Files, and other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};
use fpt::grid::{Children, until_stopped};
use serde::Deserialize;

/// The part of Cargo's JSON messages that tells where a program lies.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    name: String,
}

/// Cargo, as from a shell. What the Cargo that started this program told it about itself would count as a change to
/// build scripts that look at it (`ring`'s), which would be run anew each time.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Build the `fpt` program and return its path.
pub(crate) fn build_fpt() -> anyhow::Result<PathBuf> {
    let output = build_command().stderr(Stdio::inherit()).output();
    built(&output.context("failed to start cargo")?)
}

/// Builds the `fpt` program.
fn build_command() -> Command {
    let mut command = cargo();
    command
        .args([
            "build",
            "--package",
            "fpt",
            // Together with this program the dependencies have the features that they were just built with.
            "--package",
            "xtask",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(features());
    command
}

/// The same for programs that start it: told to stop, they stop Cargo, too.
pub(crate) fn build_among(children: &Children) -> anyhow::Result<PathBuf> {
    until_stopped("Cargo built fpt", || {
        built(&children.output_of_stranger(&mut build_command())?)
    })
}

/// Where the program lies that [`build_command`] has built.
fn built(output: &Output) -> anyhow::Result<PathBuf> {
    if !output.status.success() {
        bail!("failed to build fpt");
    }
    executable(output, "fpt")
}

/// Where a program or benchmark lies that Cargo has built, by its JSON messages.
pub(crate) fn executable(output: &Output, name: &str) -> anyhow::Result<PathBuf> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.reason == "compiler-artifact" && artifact.target.name == name)
        .find_map(|artifact| artifact.executable)
        .with_context(|| format!("cargo did not say where it put {name}"))
}

/// What this program was built with, for Cargo.
fn features() -> Vec<&'static str> {
    let mut features = Vec::new();
    if cfg!(feature = "cuda") {
        features.extend(["--features", "xtask/cuda"]);
    }
    if cfg!(feature = "wgpu") {
        features.extend(["--features", "xtask/wgpu"]);
    }
    features
}

/// Run a command to its end.
pub(crate) fn call(command: &mut Command) -> anyhow::Result<()> {
    let name = |command: &Command| {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let status = command
        .status()
        .with_context(|| format!("failed to start {}", name(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", name(command));
    }
    Ok(())
}

/// Remove a directory, if it's there.
pub(crate) fn remove(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to replace {}", directory.display()))
        }
        _ => Ok(()),
    }
}
