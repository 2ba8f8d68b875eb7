//! How far runs are, by what they have written, and what became of those that have ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fpt_train::MetricRecord;
use serde::Serialize;

use super::ledger::{Element, Ledger};
use super::queue::{Ended, Phase, Told};
use crate::stop;

/// How long a network file system may not show what another machine has written.
const LATE: Duration = Duration::from_secs(60);
/// So much of the end of a file is looked at.
const TAIL: u64 = 16 << 10;

/// How a run is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    /// Its directory is there.
    Finished,
    /// It waits.
    Queued {
        /// For what, in Slurm's words.
        reason: String,
        /// Steps that it took before it was put back.
        step: usize,
    },
    /// It runs.
    Running {
        node: String,
        /// Steps taken.
        step: usize,
        /// Steps it will have taken.
        steps: usize,
        /// Seconds that the others will take, at the pace so far.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds_left: Option<f64>,
    },
    /// It ended without a result.
    Failed {
        /// Why.
        cause: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of that.
        said: Vec<String>,
    },
    /// It was not submitted.
    New,
}

impl State {
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Queued { .. } | Self::Running { .. })
    }
}

/// How the run of `element` is doing, of whose last job Slurm says `told`.
pub(super) fn state(element: &Element, ledger: &Ledger, told: Option<&Told>) -> State {
    if is_finished(&element.directory) {
        return State::Finished;
    }
    let Some((job, index)) = ledger.last_of(&element.directory) else {
        return State::New;
    };
    match told {
        Some(told) if told.phase() == Phase::Waits => State::Queued {
            reason: told.reason.clone(),
            step: last_step(&element.directory).map_or(0, |(step, _)| step),
        },
        Some(told) if told.phase() == Phase::Runs => {
            let last = last_step(&element.directory);
            let (step, seconds) = last.unwrap_or_default();
            let left = element.steps.saturating_sub(step) as f64;
            State::Running {
                node: told.node.clone(),
                step,
                steps: element.steps,
                seconds_left: (step > 0).then(|| seconds / step as f64 * left),
            }
        }
        told => {
            let log = ledger.log(job, index);
            let said = last_lines(&log);
            let cause = cause(told, &said);
            State::Failed { cause, log, said }
        }
    }
}

/// Whether the run's directory is there.
pub(super) fn is_finished(directory: &Path) -> bool {
    directory.join("result.json").exists()
}

/// Wait for a directory that was made on another machine.
pub(super) fn appears(directory: &Path) -> bool {
    let start = Instant::now();
    loop {
        // To list where it lies lets a network file system ask its server.
        if let Some(parent) = directory.parent() {
            let _ = std::fs::read_dir(parent).map(Iterator::count);
        }
        if is_finished(directory) {
            return true;
        }
        if start.elapsed() > LATE || stop::is_asked() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Steps that a run has taken, and the seconds of its training so far.
fn last_step(directory: &Path) -> Option<(usize, f64)> {
    let mut partial = directory.as_os_str().to_owned();
    partial.push(".partial");
    let text = tail(&Path::new(&partial).join("metrics.jsonl"))?;
    // A line that is being written is none yet.
    let steps = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str(line).ok());
    steps.into_iter().find_map(|record| match record {
        MetricRecord::Step { step, seconds, .. } => Some((step, seconds)),
        _ => None,
    })
}

/// The last lines of a log.
pub(super) fn last_lines(log: &Path) -> Vec<String> {
    const MOST: usize = 5;
    let text = tail(log).unwrap_or_default();
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = &lines[lines.len().saturating_sub(MOST)..];
    last.iter().map(ToString::to_string).collect()
}

fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why a job left no result, of which Slurm says `told`, and its log `said`. The state tells more than the exit status, and
/// the reason nothing.
pub(super) fn cause(told: Option<&Told>, said: &[String]) -> String {
    /// Of Slurm, when it could not write the log.
    const NO_LOG: i32 = 53;
    let Some(told) = told else {
        return "Slurm knows nothing of it any more; it was cancelled while it waited, or ended long ago".into();
    };
    let says = |part: &str| said.iter().any(|line| line.contains(part));
    let memory = || "out of memory; --slurm mem=... gives it more".to_string();
    match (told.state.as_str(), told.ended) {
        ("OUT_OF_MEMORY", _) => memory(),
        // Where no cgroups limit it.
        ("FAILED", Ended { signal: 9, .. })
            if says("exceeded memory limit") || says("oom-kill") =>
        {
            memory()
        }
        ("TIMEOUT", _) => "its time limit; --slurm time=... gives it more".into(),
        ("NODE_FAIL" | "BOOT_FAIL", _) => {
            "its node failed, and the cluster did not put it back into the queue".into()
        }
        ("PREEMPTED", _) => "preempted, and not put back into the queue by the cluster".into(),
        ("CANCELLED", _) => "cancelled".into(),
        ("DEADLINE", _) => "its deadline passed".into(),
        ("COMPLETED", _) => "it completed, but its result is not there".into(),
        ("FAILED", Ended { signal: NO_LOG, .. }) => "Slurm could not write its log".into(),
        ("FAILED", Ended { status: 0, signal }) if signal > 0 => {
            format!("killed by {}", stop::signal_name(signal))
        }
        ("FAILED", Ended { status, .. }) => format!("exit status {status}"),
        (other, _) => format!("Slurm says {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(state: &str, status: i32, signal: i32) -> Told {
        Told {
            state: state.into(),
            reason: "JobLaunchFailure".into(),
            ended: Ended { status, signal },
            restarts: 0,
            node: "n1".into(),
        }
    }

    #[test]
    fn every_end_has_its_cause() {
        let killed =
            "slurmstepd-n1: error: StepId=10.batch exceeded memory limit (3 > 2), being killed";
        for (state, status, signal, said, part) in [
            ("OUT_OF_MEMORY", 0, 125, "", "out of memory; --slurm mem="),
            ("FAILED", 0, 9, killed, "out of memory"),
            ("FAILED", 0, 9, "", "killed by SIGKILL"),
            ("FAILED", 3, 0, "", "exit status 3"),
            ("FAILED", 0, 53, "", "could not write its log"),
            ("TIMEOUT", 0, 15, "", "--slurm time="),
            ("NODE_FAIL", 0, 0, "", "node failed"),
            ("PREEMPTED", 0, 9, "", "preempted"),
            ("CANCELLED", 0, 0, "", "cancelled"),
            ("COMPLETED", 0, 0, "", "result is not there"),
            ("REVOKED", 0, 0, "", "REVOKED"),
        ] {
            let told = told(state, status, signal);
            let cause = cause(Some(&told), &[said.to_string()]);
            assert!(cause.contains(part), "{state}: {cause}");
        }
        assert!(cause(None, &[]).contains("knows nothing"));
    }

    #[test]
    fn the_last_step_is_read_while_another_is_written() {
        let place = tempfile::tempdir().unwrap();
        let run = place.path().join("run");
        assert_eq!(last_step(&run), None);
        std::fs::create_dir(place.path().join("run.partial")).unwrap();
        let record = |step| MetricRecord::Step {
            step,
            loss: 1.0,
            gradient_norm: 1.0,
            seconds: step as f64 / 2.0,
            flops: 0.0,
            tokens: 0,
        };
        let lines = [1, 2, 3].map(|step| serde_json::to_string(&record(step)).unwrap());
        let text = lines.join("\n");
        std::fs::write(
            place.path().join("run.partial/metrics.jsonl"),
            &text[..text.len() - 4],
        )
        .unwrap();
        assert_eq!(last_step(&run), Some((2, 1.0)));
    }
}
