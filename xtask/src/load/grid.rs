//! Many runs, and stops of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::processes;
use super::scene::Scene;
use super::{PATIENCE, megabytes};

/// Most bytes that the program may take that starts the runs.
pub(super) const MOST: u64 = 100_000_000;
const LOOK: Duration = Duration::from_millis(5);

/// A grid that ran to its end.
#[derive(Serialize)]
pub(super) struct Outcome {
    runs: usize,
    seconds: f64,
    /// Peak of the memory of the program that starts the runs and makes the report, its children not counted.
    peak_memory: u64,
}

impl Outcome {
    pub(super) fn describe(&self) -> String {
        format!(
            "{} runs in {:.0} s: reproduce itself took at most {}",
            self.runs,
            self.seconds,
            megabytes(self.peak_memory)
        )
    }

    pub(super) fn broken(&self) -> Option<String> {
        (self.peak_memory >= MOST).then(|| {
            let [peak, most] = [self.peak_memory, MOST].map(megabytes);
            format!(
                "reproduce took {peak} for {} runs, which should be below {most}",
                self.runs
            )
        })
    }
}

/// A grid that was stopped.
#[derive(Serialize)]
pub(super) struct Stop {
    /// By what.
    how: &'static str,
    /// Until all of its processes had ended.
    seconds: f64,
    /// The exit status, where it was not ended by the signal itself.
    status: Option<i32>,
    wanted: Option<i32>,
    /// Command lines of processes that were left.
    left: Vec<String>,
}

impl Stop {
    pub(super) fn describe(&self) -> String {
        format!(
            "{}: {} processes left, all others ended after {:.1} s",
            self.how,
            self.left.len(),
            self.seconds
        )
    }

    pub(super) fn broken(&self) -> Option<String> {
        let wrong = self.status != self.wanted || !self.left.is_empty();
        wrong.then(|| {
            format!(
                "{}: exit status {:?} instead of {:?}; left are {:?}",
                self.how, self.status, self.wanted, self.left
            )
        })
    }
}

/// `cargo xtask reproduce` with so many seeds of one run, in a process group as a shell starts it.
fn start(scene: &Scene, out: &Path, runs: usize) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("this program can't be found")?);
    command
        .arg("reproduce")
        .arg(scene.config())
        .args(["--method", "pt", "--seeds", &runs.to_string(), "--out"])
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(messages(out))?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().context("reproduce does not start")
}

/// Where it says what it has to say.
fn messages(out: &Path) -> PathBuf {
    out.with_extension("txt")
}

/// Run a grid to its end.
pub(super) fn measure(scene: &Scene, runs: usize) -> anyhow::Result<Outcome> {
    let (start_time, out) = (Instant::now(), scene.path("grid"));
    let (status, peak_memory) = watched(start(scene, &out, runs)?)?;
    let said = std::fs::read_to_string(messages(&out))?;
    let error = said
        .find("error: ")
        .map_or("", |place| said[place..].trim());
    ensure!(status.success(), "the grid ended with {status}: {error}");
    let lines = std::fs::read_to_string(out.join("results.csv"))?
        .lines()
        .count();
    ensure!(
        lines == runs + 1,
        "the report has {lines} lines for {runs} runs"
    );
    Ok(Outcome {
        runs,
        seconds: start_time.elapsed().as_secs_f64(),
        peak_memory,
    })
}

/// How a program ended, and the peak of its memory.
pub(super) fn watched(mut child: Child) -> anyhow::Result<(ExitStatus, u64)> {
    let mut peak = None;
    let status = loop {
        // A peak only grows: the last figure is it, but for what is taken in the last moment.
        peak = processes::memory(child.id(), "VmHWM").or(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    let peak = peak.context("this system does not tell the memory of processes")?;
    Ok((status, peak))
}

/// Stop a grid in every way.
#[cfg(unix)]
pub(super) fn stops(scene: &Scene, runs: usize) -> anyhow::Result<Vec<Stop>> {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};

    let pid = |child: &Child| -> anyhow::Result<Pid> {
        let number = i32::try_from(child.id())?;
        Pid::from_raw(number).context("a process without a number")
    };
    let ways: [(&'static str, Signal, bool, Option<i32>); 3] = [
        ("Ctrl-C (SIGINT to the group)", Signal::INT, true, Some(130)),
        ("SIGTERM to reproduce alone", Signal::TERM, false, Some(143)),
        ("SIGKILL to reproduce alone", Signal::KILL, false, None),
    ];
    let mut stops = Vec::new();
    for (number, (how, signal, to_group, wanted)) in ways.into_iter().enumerate() {
        let out = scene.path(&format!("stopped-{number}"));
        let mut child = start(scene, &out, runs)?;
        // In the midst of it: a run is finished, and a process is at another.
        wait_until("the first run", || {
            finished(&out) > 0 && processes::of(&out).len() > 1
        })?;
        let start = Instant::now();
        if to_group {
            kill_process_group(pid(&child)?, signal)?;
        } else {
            kill_process(pid(&child)?, signal)?;
        }
        let status = child.wait()?;
        let _ = wait_until("the end of all processes", || {
            processes::of(&out).is_empty()
        });
        stops.push(Stop {
            how,
            seconds: start.elapsed().as_secs_f64(),
            status: status.code(),
            wanted,
            left: processes::of(&out),
        });
    }
    Ok(stops)
}

#[cfg(not(unix))]
pub(super) fn stops(_scene: &Scene, _runs: usize) -> anyhow::Result<Vec<Stop>> {
    Ok(Vec::new())
}

/// Finished runs in a directory.
fn finished(out: &Path) -> usize {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().join("SHA256SUMS").is_file())
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(".partial"))
        .count()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_so() {
        ensure!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(LOOK);
    }
    Ok(())
}
