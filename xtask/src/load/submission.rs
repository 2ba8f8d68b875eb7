//! Many runs as jobs of a cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use super::grid::{MOST, watched};
use super::megabytes;
use super::scene::Scene;

/// Most seconds that it may take to submit them.
const LONGEST: f64 = 10.0;
/// Programs in the place of Slurm's, which answer at once: what is measured is ours.
const PROGRAMS: [(&str, &str); 3] = [
    ("sbatch", "#!/bin/sh\necho 7\n"),
    ("squeue", "#!/bin/sh\necho '7_0|PENDING|Priority|0|0||'\n"),
    ("scontrol", "#!/bin/sh\necho 'MaxArraySize = 1001'\n"),
];

/// A grid that was submitted.
#[derive(Serialize)]
pub(super) struct Outcome {
    runs: usize,
    seconds: f64,
    /// Peak of the memory of the program that submits them.
    peak_memory: u64,
}

impl Outcome {
    pub(super) fn describe(&self) -> String {
        format!(
            "{} runs submitted to a cluster in {:.1} s: that took at most {}",
            self.runs,
            self.seconds,
            megabytes(self.peak_memory)
        )
    }

    pub(super) fn broken(&self) -> Option<String> {
        (self.seconds >= LONGEST || self.peak_memory >= MOST).then(|| {
            format!(
                "{}, which should be below {LONGEST} s and {}",
                self.describe(),
                megabytes(MOST)
            )
        })
    }
}

/// Submit a grid with `fpt`.
pub(super) fn measure(scene: &Scene, fpt: &Path, runs: usize) -> anyhow::Result<Outcome> {
    let programs = scene.path("slurm");
    fs::create_dir(&programs)?;
    for (name, script) in PROGRAMS {
        let path = programs.join(name);
        fs::write(&path, script)?;
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs).chain(std::env::split_paths(&path));
    let out = scene.path("submitted");
    let start = Instant::now();
    let child = Command::new(fpt)
        .arg("reproduce")
        .arg(scene.config())
        .args(["--method", "pt", "--seeds", &runs.to_string()])
        .args(["--on", "slurm", "--out"])
        .arg(&out)
        .env("PATH", std::env::join_paths(path)?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (status, peak_memory) = watched(child)?;
    let seconds = start.elapsed().as_secs_f64();
    let script = fs::read_to_string(out.join("slurm/001-runs.sh"))?;
    let all = script.contains(&format!("--array=0-{}", runs - 1));
    ensure!(status.success() && all, "submitting ended with {status}");
    Ok(Outcome {
        runs,
        seconds,
        peak_memory,
    })
}
