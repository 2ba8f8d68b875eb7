//! The same checks in a process of their own.

use std::process::Command;

use anyhow::Context;

use super::check::Check;
use super::{Args, Report};
use crate::commands::synthetic::PrecisionName;

/// Tried kernels are as few as CubeCL allows (it has no switch for none), and choices of earlier processes do not count.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("CUBECL_AUTOTUNE_LEVEL", "minimal"),
    ("CUBECL_AUTOTUNE_CACHE", "false"),
];
const NAME: &str = "with the least autotune";

/// The checks in `precision`, made once more by another process with as little autotune as there can be.
pub(super) fn again(args: &Args, precision: PrecisionName) -> Vec<Check> {
    let report = match process(args, precision) {
        Ok(report) => report,
        Err(error) => return vec![Check::failed(NAME, fpt::terminal::with_causes(&error))],
    };
    let checks = report.examinations.into_iter().flat_map(|it| it.checks);
    let named = checks.map(|check| Check {
        name: format!("{NAME}: {}", check.name),
        ..check
    });
    named.collect()
}

fn process(args: &Args, precision: PrecisionName) -> anyhow::Result<Report> {
    let program = std::env::current_exe().context("this program can't be found")?;
    let output = Command::new(program)
        .args(["doctor", "--json", "--child"])
        .args(["--device", &args.device.to_string()])
        .args(["--precision", precision.name()])
        .envs(ENVIRONMENT)
        .output()
        .context("another process can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().unwrap_or_default().to_string();
        format!("the process ended with {} ({last})", output.status)
    })
}
