//! The program that holds a side's benchmarks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};
use fpt::terminal;

use super::checkout::Checkout;
use crate::bench::criterion;
use crate::shell;

/// What criterion's `--list` writes behind a name.
const LISTED: &str = ": benchmark";

/// Benchmarks that are built.
pub(super) struct Program(PathBuf);

impl Program {
    /// The benchmarks of this tree, where `cargo xtask bench` builds them, too.
    pub(super) fn of_this_tree() -> anyhow::Result<Self> {
        terminal::note("building the benchmarks of this tree");
        let built = build(&mut criterion::command())?;
        Ok(Self(shell::executable(&built, "speed")?))
    }

    /// The benchmarks of another revision, built into `target`: all checkouts share it, so that Burn is built once.
    pub(super) fn of_checkout(checkout: &Checkout, target: &Path) -> anyhow::Result<Self> {
        let Checkout { commit, directory } = checkout;
        terminal::note(&format!(
            "building the benchmarks of {commit}; Burn, too, the first time"
        ));
        forget_others(commit, target)?;
        let mut command = criterion::command();
        command
            .arg("--target-dir")
            .arg(target)
            .current_dir(directory);
        let built = build(&mut command)?;
        // The data that its benchmarks read is not in git. With a benchmark Cargo builds its package's program, too.
        let mut data = Command::new(shell::executable(&built, "xtask")?);
        data.arg("data")
            .current_dir(directory)
            .stdout(Stdio::null());
        shell::call(&mut data).with_context(|| format!("{commit} can't make its data"))?;
        Ok(Self(shell::executable(&built, "speed")?))
    }

    /// The names of the benchmarks.
    pub(super) fn list(&self) -> anyhow::Result<Vec<String>> {
        let output = self.call(Command::new(&self.0).args(["--bench", "--list"]))?;
        Ok(listed(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Run one benchmark in a process of its own, which has `home` for its files. Returns the seconds of iterations.
    pub(super) fn sample(&self, name: &str, home: &Path) -> anyhow::Result<Vec<f64>> {
        fs::create_dir_all(home).with_context(|| format!("failed to create {}", home.display()))?;
        let mut command = Command::new(&self.0);
        command
            .args(["--bench", "--noplot", &only(name)])
            .env("CRITERION_HOME", home);
        self.call(&mut command)
            .with_context(|| format!("failed to time {name}"))?;
        criterion::sample(home).with_context(|| format!("failed to time {name}"))
    }

    /// What the program says, which no one needs unless it fails.
    fn call(&self, command: &mut Command) -> anyhow::Result<Output> {
        let program = self.0.display();
        let output = command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("failed to start {program}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{program} failed: {}\n{}", output.status, said.trim_end());
        }
        Ok(output)
    }
}

/// Build what the command would run. Returns Cargo's messages.
fn build(command: &mut Command) -> anyhow::Result<Output> {
    command
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = command.output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to build the benchmarks");
    }
    Ok(output)
}

/// Remove what the checkout of another commit has built of its own; dependencies stay. Cargo gives the crates of all
/// checkouts the same names, and tells them apart by nothing but the times of their files.
fn forget_others(commit: &str, target: &Path) -> anyhow::Result<()> {
    let stamp = target.join("commit.txt");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == commit) {
        return Ok(());
    }
    if stamp.exists() {
        let mut clean = shell::cargo();
        clean
            .args(["clean", "--quiet", "--workspace", "--target-dir"])
            .arg(target);
        shell::call(&mut clean)?;
    }
    fs::create_dir_all(target).with_context(|| format!("failed to create {}", target.display()))?;
    Ok(fpt_files::write(&stamp, commit)?)
}

/// The names in what `--list` writes; other lines are not criterion's.
fn listed(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_suffix(LISTED))
        .map(String::from)
        .collect()
}

/// The regular expression of exactly this name.
fn only(name: &str) -> String {
    format!("^{}$", regex::escape(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_whole() {
        let text =
            "loading/mini: model and tokenizer: benchmark\nstep: benchmark\n\nsomething else\n";
        assert_eq!(listed(text), ["loading/mini: model and tokenizer", "step"]);
    }

    #[test]
    fn a_name_finds_itself_and_no_longer_one() {
        let name = "data/tokenize mini-mnli (8000 examples)";
        let filter = regex::Regex::new(&only(name)).unwrap();
        assert!(filter.is_match(name));
        assert!(!filter.is_match(&format!("{name}, again")));
        assert!(!filter.is_match(&format!("more {name}")));
    }
}
