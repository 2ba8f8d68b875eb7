//! Jobs of Slurm whose time is up.

use std::process::Command;

use anyhow::{Context, ensure};

/// Put the job that this program is back into the queue, where it goes on when its turn comes; `went_on` says whether it has
/// come further.
///
/// # Errors
/// If it has not, and would never; if this is no job, or Slurm refuses.
pub(super) fn this_job(went_on: bool) -> anyhow::Result<()> {
    ensure!(
        went_on,
        "the job's time was up before a step was taken: it needs more, as by --slurm time=..."
    );
    let job = std::env::var("SLURM_JOB_ID")
        .context("--requeue is for jobs of Slurm, and this is none")?;
    let output = Command::new("scontrol").args(["requeue", &job]).output();
    let output = output.context("failed to start scontrol, which puts jobs back into the queue")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "scontrol requeue {job}: {}; the run goes on when it is submitted again",
        said.trim()
    );
    Ok(())
}
