//! A run of many steps, and its memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use fpt::terminal;
use fpt_train::{Event, MetricRecord};
use serde::Serialize;

use super::megabytes;
use super::processes;
use super::scene::Scene;
use crate::bench::stats::median;

const TENTHS: usize = 10;
/// Looks at the memory in each tenth of the steps, if there are so many.
const LOOKS: usize = 50;
/// Most that memory may have grown from the second tenth to the last.
const MOST_GROWTH: f64 = 1.05;
/// In such pieces the allocator takes memory from the system: less is not told from nothing.
const PIECE: u64 = 2 << 20;

/// The memory of a run over its steps.
#[derive(Serialize)]
pub(super) struct Outcome {
    steps: usize,
    seconds: f64,
    /// Median bytes in each tenth of the steps.
    memory: [u64; TENTHS],
    /// That of the last tenth by that of the second, when everything has been seen once.
    growth: f64,
}

impl Outcome {
    pub(super) fn describe(&self) -> String {
        let memory: Vec<_> = self.memory.iter().copied().map(megabytes).collect();
        format!(
            "{} steps in {:.0} s: memory of the last tenth by that of the second {:.3} ({})",
            self.steps,
            self.seconds,
            self.growth,
            memory.join(", ")
        )
    }

    pub(super) fn broken(&self) -> Option<String> {
        let (early, late) = (self.memory[1], self.memory[TENTHS - 1]);
        let is_more = self.growth > MOST_GROWTH && late > early + PIECE + PIECE / 2;
        is_more.then(|| {
            format!(
                "the memory of a run of {} steps grows by {:.3}, which should be at most {MOST_GROWTH}",
                self.steps, self.growth
            )
        })
    }
}

/// Train for so many steps, with evaluations and checkpoints on the way.
pub(super) fn measure(scene: &Scene, fpt: &Path, steps: usize) -> anyhow::Result<Outcome> {
    ensure!(steps >= TENTHS, "{steps} steps are too few to have tenths");
    let start = Instant::now();
    let often = (steps / 20).max(1).to_string();
    let out = scene.path("long");
    let mut child = Command::new(fpt)
        .args(["train", "--json", "--task", "qqp", "--config"])
        .arg(scene.config())
        .args(["--set", &format!("train.steps={steps}")])
        .args(["--set", &format!("eval.every={often}")])
        .args(["--checkpoint-steps", &often, "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("failed to start {}", fpt.display()))?;
    let stdout = child.stdout.take().context("a run without output")?;
    let bar = terminal::bar(steps, "steps");
    let every = (steps / TENTHS / LOOKS).max(1);
    let mut looks: [Vec<f64>; TENTHS] = std::array::from_fn(|_| Vec::new());
    for line in BufReader::new(stdout).lines() {
        let event: Event = serde_json::from_str(&line?)?;
        let Event::Metric(MetricRecord::Step { step, .. }) = event else {
            continue;
        };
        if step % every == 0 {
            bar.set_position(step as u64);
            let memory = processes::memory(child.id(), "VmRSS")
                .context("this system does not tell the memory of processes")?;
            looks[(step - 1) * TENTHS / steps].push(memory as f64);
        }
    }
    bar.finish_and_clear();
    let status = child.wait()?;
    ensure!(status.success(), "the run ended with {status}");
    let memory = looks.map(|looks| median(&looks));
    Ok(Outcome {
        steps,
        seconds: start.elapsed().as_secs_f64(),
        growth: memory[TENTHS - 1] / memory[1],
        memory: memory.map(|bytes| bytes as u64),
    })
}
