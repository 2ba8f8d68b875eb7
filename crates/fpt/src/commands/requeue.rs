//! Jobs of Slurm whose time is up.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fpt::{stop, terminal};

/// Slurm tells a job at most so long before its own limit that its time is up.
const NOTICE: Duration = Duration::from_secs(120);

/// The job that this program is.
#[derive(Clone, Copy)]
pub(super) struct Job {
    start: Instant,
    limit: Option<Duration>,
}

impl Job {
    /// It has begun now, and may take so long.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            start: Instant::now(),
            limit,
        }
    }

    /// Put it back into the queue, too, if its time is up before there is something to lose.
    pub(super) fn back_if_it_never_begins(self) {
        stop::before_it_ends_at_once(Box::new(move || {
            if let Err(error) = self.back_if_time_is_up(false) {
                terminal::error(&error);
            }
        }));
    }

    /// If its time is up, put it back into the queue, where it goes on when its turn comes; `went_on` says whether it has
    /// come further.
    ///
    /// # Errors
    /// If it never will; if this is no job, or Slurm refuses.
    pub(super) fn back_if_time_is_up(self, went_on: bool) -> anyhow::Result<()> {
        if !stop::is_for_time() {
            // Of a job that is preempted Slurm does so itself.
            return Ok(());
        }
        ensure!(
            went_on || self.is_early(self.start.elapsed()),
            "the job's time was up before a step was taken: it needs more, as by --slurm time=..."
        );
        let job = std::env::var("SLURM_JOB_ID");
        let job = job.context("--requeue is for jobs of Slurm, and this is none")?;
        let output = Command::new("scontrol").args(["requeue", &job]).output();
        let output =
            output.context("failed to start scontrol, which puts jobs back into the queue")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "scontrol requeue {job}: {}; the run goes on when it is submitted again",
            said.trim()
        );
        Ok(())
    }

    /// Whether it is stopped after `time` for another reason than that it had no more: clusters may tell jobs in the same way
    /// that they are preempted.
    fn is_early(self, time: Duration) -> bool {
        self.limit.is_some_and(|limit| time + NOTICE < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_told_early_had_time() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let early = |limit, time| Job::new(limit).is_early(minutes(time));
        assert!(early(Some(minutes(60)), 30));
        assert!(!early(Some(minutes(60)), 58));
        assert!(!early(Some(minutes(2)), 0));
        assert!(!early(None, 0));
    }
}
