//! The terminal and other programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

/// A line for the user on standard error.
pub fn note(text: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line of the result on standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("failed to write to standard output")
}

/// Write a text under a temporary name, then rename it.
pub fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// A bar with an estimate of the time left; invisible where standard error is no terminal.
pub fn bar(length: usize, prefix: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    // The template is a constant: it can't fail.
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix:>12} [{elapsed_precise}] {wide_bar} {pos}/{len} ETA {eta} {msg}",
    ) {
        bar.set_style(style);
    }
    bar.set_prefix(prefix.to_string());
    bar
}

/// The commit of the checkout, with `-dirty` where files differ from it.
pub fn revision() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_string()
        }
        _ => "unknown".into(),
    }
}

/// Write the report of the runs in `directory`, and print its tables, or the JSON.
pub fn report(directory: &Path, json: bool) -> anyhow::Result<()> {
    let report = fpt_report::write(directory)?;
    if json {
        return print(report.json.trim_end());
    }
    for table in &report.tables {
        print(&format!("{}\n{table}\n", table.caption))?;
    }
    note(&format!(
        "report: {} (also report.md, results.json, results.csv)",
        report.page.display()
    ));
    Ok(())
}

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

/// Build the `fpt` program and return its path.
pub fn build_fpt() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
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
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to build fpt");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.reason == "compiler-artifact" && artifact.target.name == "fpt")
        .find_map(|artifact| artifact.executable)
        .context("cargo did not say where it put fpt")
}

/// Run a command to its end.
pub fn call(command: &mut Command) -> anyhow::Result<()> {
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
pub fn remove(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to replace {}", directory.display()))
        }
        _ => Ok(()),
    }
}
