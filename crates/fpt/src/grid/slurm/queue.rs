//! Slurm's own programs: jobs are submitted with `sbatch`, and `squeue`, or `sacct` for those that it has forgotten, tell
//! what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::stop;

/// A job, or an array of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct JobId {
    /// Its number.
    pub(super) number: String,
    /// Its cluster, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<String>,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.number)
    }
}

/// What Slurm says of a job, or of an element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Such as `PENDING`, `RUNNING`, `OUT_OF_MEMORY`.
    pub(super) state: String,
    /// Why it waits.
    pub(super) reason: String,
    pub(super) ended: Ended,
    /// How often it was put back into the queue.
    pub(super) restarts: usize,
    /// Where it runs.
    pub(super) node: String,
}

/// The exit status and the signal that a job's script ended with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) status: i32,
    pub(super) signal: i32,
}

/// Whether a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waits,
    Runs,
    Over,
}

impl Told {
    pub(super) fn phase(&self) -> Phase {
        match self.state.as_str() {
            "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED"
            | "RESV_DEL_HOLD" | "SPECIAL_EXIT" => Phase::Waits,
            "RUNNING" | "COMPLETING" | "SUSPENDED" | "RESIZING" | "SIGNALING" | "STAGE_OUT"
            | "STOPPED" => Phase::Runs,
            _ => Phase::Over,
        }
    }
}

/// What is known of the elements of a job by their index; of one that is no array by index 0.
pub(super) type Elements = BTreeMap<usize, Told>;

/// What Slurm's programs say of a controller that does not answer.
const AWAY: [&str; 4] = [
    "timed out",
    "Unable to contact slurm controller",
    "Connection refused",
    "Resource temporarily unavailable",
];
/// For so long it is asked again.
const PATIENCE: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_secs(5);

/// Options that must not come from the environment, where they would win over those of a script.
const TAKEN: [&str; 9] = [
    "SBATCH_ARRAY_INX",
    "SBATCH_EXPORT",
    "SBATCH_NO_REQUEUE",
    "SBATCH_OPEN_MODE",
    "SBATCH_OUTPUT",
    "SBATCH_ERROR",
    "SBATCH_REQUEUE",
    "SBATCH_SIGNAL",
    "SBATCH_WAIT",
];

/// Submit a script.
///
/// # Errors
/// What `sbatch` says.
pub(super) fn submit(script: &Path) -> anyhow::Result<JobId> {
    let mut command = Command::new("sbatch");
    for name in TAKEN {
        command.env_remove(name);
    }
    let said = output(command.arg("--parsable").arg(script))?.map_err(|message| {
        let maybe = if message.contains("timed out") {
            "; it may have been submitted nevertheless: see `squeue --me` before another try"
        } else {
            ""
        };
        anyhow::anyhow!("sbatch: {message}{maybe}")
    })?;
    // Some clusters greet before.
    let said = said.trim().lines().next_back().unwrap_or_default();
    let (number, cluster) = match said.split_once(';') {
        Some((number, cluster)) => (number, Some(cluster.to_string())),
        None => (said, None),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("sbatch said `{said}`, which is no number of a job");
    }
    Ok(JobId {
        number: number.into(),
        cluster,
    })
}

/// Where Slurm's programs lie.
///
/// # Errors
/// If they are not on the path.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|place| place.is_absolute() && place.join("sbatch").is_file())
        .context(
            "there is no `sbatch` here: --on slurm is for a machine from which jobs are submitted to Slurm, such as a \
             cluster's login node; without --on the runs are made on this machine",
        )
}

/// The most elements of an array here.
pub(super) fn longest_array() -> usize {
    /// Slurm's default: the highest index is one less.
    const DEFAULT: usize = 1001;
    let said = call(Command::new("scontrol").args(["show", "config"])).unwrap_or_default();
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("MaxArraySize"));
    let number = line.and_then(|line| line.trim_start_matches([' ', '=']).trim().parse().ok());
    number.unwrap_or(DEFAULT).max(1)
}

/// What is known of a job.
///
/// # Errors
/// If Slurm does not answer.
pub(super) fn told(job: &JobId) -> anyhow::Result<Elements> {
    let mut known = live(job)?;
    // It forgets jobs some minutes after their end, and elements that were cancelled at once. Of those that it knows it
    // tells more than the accounts, which lag.
    for (index, told) in accounted(job) {
        known.entry(index).or_insert(told);
    }
    Ok(known)
}

/// What the controller knows.
fn live(job: &JobId) -> anyhow::Result<Elements> {
    const FIELDS: &str = "JobArrayID:|,State:|,Reason:|,RestartCnt:|,exit_code:|,NodeList:|";
    let mut command = on_cluster("squeue", job);
    command.args(["-h", "-r", "-t", "all", "-j", &job.number, "-O", FIELDS]);
    match patiently(&mut command)? {
        Ok(said) => Ok(said.lines().filter_map(of_squeue).collect()),
        Err(message) if message.contains("Invalid job id") => Ok(Elements::new()),
        Err(message) => bail!("squeue: {message}"),
    }
}

/// What the accounts know; nothing where there are none.
fn accounted(job: &JobId) -> Elements {
    let mut command = on_cluster("sacct", job);
    command.args([
        "-X",
        "-P",
        "-n",
        "-j",
        &job.number,
        "-o",
        "JobID,State,ExitCode,NodeList",
    ]);
    let said = call(&mut command).unwrap_or_default();
    said.lines().filter_map(of_sacct).collect()
}

/// What a program prints, or complains of; where the controller does not answer it is asked again for a while: it may be
/// busy, or be restarted.
fn patiently(command: &mut Command) -> anyhow::Result<Result<String, String>> {
    let start = Instant::now();
    loop {
        let answer = output(command)?;
        let is_away = |message: &String| AWAY.iter().any(|part| message.contains(part));
        if !answer.as_ref().is_err_and(is_away) || start.elapsed() > PATIENCE || stop::is_asked() {
            return Ok(answer);
        }
        std::thread::sleep(AGAIN);
    }
}

/// Take jobs out of the queue; one that is gone is no matter.
pub(super) fn cancel(job: &JobId) {
    let _ = call(on_cluster("scancel", job).arg(&job.number));
}

fn on_cluster(program: &str, job: &JobId) -> Command {
    let mut command = Command::new(program);
    if let Some(cluster) = &job.cluster {
        command.arg(format!("--clusters={cluster}"));
    }
    command
}

/// What a program prints.
fn call(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match output(command)? {
        Ok(said) => Ok(said),
        Err(message) => bail!("{name}: {message}"),
    }
}

/// What a program prints, or complains of.
fn output(command: &mut Command) -> anyhow::Result<Result<String, String>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("there is no `{name}` here, which comes with Slurm"),
        _ => anyhow::Error::new(error).context(format!("failed to start {name}")),
    })?;
    if output.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    // `sbatch: error: Batch job submission failed: ...`
    let said = String::from_utf8_lossy(&output.stderr);
    let own = format!("{name}: ");
    let lines = said.lines().map(|line| {
        let line = line.strip_prefix(&own).unwrap_or(line);
        line.strip_prefix("error: ").unwrap_or(line).trim()
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    Ok(Err(match &lines[..] {
        [] => format!("it ended with {}", output.status),
        lines => lines.join("; "),
    }))
}

/// `7_0|COMPLETED|None|0|0|n1|`.
fn of_squeue(line: &str) -> Option<(usize, Told)> {
    let mut fields = line.split('|').map(str::trim);
    let index = index(fields.next()?)?;
    let (state, reason) = (fields.next()?, fields.next()?);
    let restarts = fields.next()?.parse().unwrap_or(0);
    // As `wait` has it.
    let code: i32 = fields.next()?.parse().unwrap_or(0);
    let told = Told {
        state: state.into(),
        reason: reason.into(),
        restarts,
        ended: Ended {
            status: code >> 8 & 0xff,
            signal: code & 0x7f,
        },
        node: fields.next().unwrap_or_default().into(),
    };
    Some((index, told))
}

/// `13_0|CANCELLED by 0|0:0|n1`.
fn of_sacct(line: &str) -> Option<(usize, Told)> {
    let mut fields = line.split('|').map(str::trim);
    let index = index(fields.next()?)?;
    let state = fields.next()?.split(' ').next()?;
    let (status, signal) = fields.next()?.split_once(':')?;
    let told = Told {
        state: state.into(),
        reason: String::new(),
        restarts: 0,
        ended: Ended {
            status: status.parse().unwrap_or(0),
            signal: signal.parse().unwrap_or(0),
        },
        node: fields.next().unwrap_or_default().into(),
    };
    Some((index, told))
}

/// `7_3` of an array; `7` of a single job. Of elements in one, `7_[3-5%2]`, others tell more.
fn index(id: &str) -> Option<usize> {
    match id.split_once('_') {
        Some((_, index)) => index.parse().ok(),
        None => (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(0),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_says_is_read() {
        let (index, told) =
            of_squeue("7_11|PENDING|ReqNodeNotAvail, UnavailableNodes:n3|2|0||").unwrap();
        assert_eq!((index, told.phase(), told.restarts), (11, Phase::Waits, 2));
        assert_eq!(told.reason, "ReqNodeNotAvail, UnavailableNodes:n3");
        for (line, status, signal) in [
            ("7_0|FAILED|NonZeroExitCode|0|768|n1|", 3, 0),
            ("7_0|FAILED|JobLaunchFailure|0|11|n1|", 0, 11),
            ("7_0|OUT_OF_MEMORY|OutOfMemory|0|253|n1|", 0, 125),
        ] {
            let (_, told) = of_squeue(line).unwrap();
            assert_eq!(told.phase(), Phase::Over);
            assert_eq!(told.ended, Ended { status, signal });
        }
        // As wide as a newer Slurm may make them.
        let (index, told) = of_squeue("12   |RUNNING   |None   |0  |0  |n[1-2]  |").unwrap();
        assert_eq!(
            (index, told.phase(), told.node.as_str()),
            (0, Phase::Runs, "n[1-2]")
        );

        let (index, told) = of_sacct("13_4|CANCELLED by 1000|0:15|n1").unwrap();
        assert_eq!((index, told.state.as_str()), (4, "CANCELLED"));
        assert_eq!(
            told.ended,
            Ended {
                status: 0,
                signal: 15
            }
        );
        for line in [
            "13_[2,4%1]|PENDING|0:0|None assigned",
            "CLUSTER: one",
            "",
            "13_0.batch|FAILED|1:0|n1",
        ] {
            assert!(
                of_sacct(line).is_none() && of_squeue(line).is_none(),
                "{line}"
            );
        }
    }
}
