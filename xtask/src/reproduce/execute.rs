//! Runs as processes, several at a time, with a bar each.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, bail};
use fpt::{DeviceName, terminal};
use fpt_train::{Event, MetricRecord, RunResult};
use indicatif::{MultiProgress, ProgressBar};

use super::placement::Placement;
use super::plan::Planned;

/// Starts `fpt train` processes and follows them.
pub(super) struct Executor<'a> {
    /// The `fpt` program.
    pub program: &'a Path,
    /// Experiment file.
    pub config: &'a Path,
    /// Threads a process may use.
    pub threads: usize,
    /// Devices, each by its own name.
    pub devices: &'a [DeviceName],
}

impl Executor<'_> {
    /// Execute what is not finished, `jobs` at a time, each on one of the devices.
    ///
    /// A run that fails does not stop the others, whose directories stay; then all failures are told.
    pub(super) fn run_all(&self, runs: &[Planned], jobs: usize) -> anyhow::Result<()> {
        let open: Vec<&Planned> = runs.iter().filter(|run| run.finished.is_none()).collect();
        if open.len() < runs.len() {
            terminal::note(&format!(
                "{} of {} runs are finished already",
                runs.len() - open.len(),
                runs.len()
            ));
        }
        let bars = MultiProgress::new();
        let total = bars.add(terminal::still_bar(runs.len(), "runs"));
        total.set_position((runs.len() - open.len()) as u64);
        total.tick();
        let placement = Placement::new(open.len(), jobs, self.devices.len());
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for job in 0..jobs {
                let (placement, open, bars, total, failures) =
                    (&placement, &open, &bars, &total, &failures);
                scope.spawn(move || {
                    let device = placement.device(job);
                    while let Some(run) = placement.next(device) {
                        let run = open[run];
                        let name = run.name();
                        let bar = bars.insert_before(total, terminal::still_bar(1, &name));
                        let outcome = self.run(run, &self.devices[device], &bar);
                        bar.finish_and_clear();
                        total.inc(1);
                        match outcome {
                            Ok(result) => {
                                let line = format!(
                                    "{name}: {} {:.2} on {} after {} steps, {:.0} s",
                                    result.metric,
                                    result.reported.primary_value(),
                                    result.split,
                                    result.steps,
                                    result.seconds.train + result.seconds.evaluate,
                                );
                                bars.suspend(|| terminal::note(&line));
                            }
                            Err(error) => push(
                                failures,
                                format!("{name}: {}", terminal::with_causes(&error)),
                            ),
                        }
                    }
                });
            }
        });
        total.finish_and_clear();
        let failures = failures.into_inner().unwrap_or_default();
        if !failures.is_empty() {
            bail!(
                "{} of {} runs failed\n{}",
                failures.len(),
                runs.len(),
                failures.join("\n")
            );
        }
        Ok(())
    }

    fn run(
        &self,
        run: &Planned,
        device: &DeviceName,
        bar: &ProgressBar,
    ) -> anyhow::Result<RunResult> {
        let mut command = Command::new(self.program);
        command
            .args(["train", "--json", "--config"])
            .arg(self.config)
            .args(["--task", run.config.task.as_str()])
            .args(["--seed", &run.config.seed.to_string()])
            .args(["--method", &run.method.to_string()])
            .args(["--device", &device.to_string()])
            .arg("--out")
            .arg(&run.directory)
            .env("RAYON_NUM_THREADS", self.threads.to_string());
        for assignment in &run.overrides {
            command.args(["--set", assignment]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the pipes of {} are gone", self.program.display());
        };
        // Read both streams at once: a full pipe would stop the run.
        let messages = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(stderr).read_to_string(&mut text);
            text
        });
        let mut result = None;
        for line in BufReader::new(stdout).lines() {
            let event: Event = serde_json::from_str(&line?).context("unexpected output of fpt")?;
            show(&event, bar);
            if let Event::Finished { result: finished } = event {
                result = Some(*finished);
            }
        }
        let status = child.wait()?;
        let messages = messages.join().unwrap_or_default();
        match result {
            Some(result) if status.success() => Ok(result),
            _ => bail!("{}", messages.trim().trim_start_matches("error: ")),
        }
    }
}

/// Let a bar follow the run: a step counts as a training batch, evaluations as their share of it.
fn show(event: &Event, bar: &ProgressBar) {
    match event {
        Event::Tokenized {
            split,
            examples,
            of,
        } => bar.set_message(format!("tokenizing {split}: {examples} of {of}")),
        Event::Loaded {
            steps, warnings, ..
        } => {
            bar.set_message("");
            bar.set_length(*steps as u64);
            for warning in warnings {
                bar.suspend(|| terminal::note(&format!("warning: {warning}")));
            }
        }
        Event::NoPrompt { .. } => bar.reset_eta(),
        Event::Metric(MetricRecord::Step { step, loss, .. }) => {
            bar.set_position(*step as u64);
            bar.set_message(format!("loss {loss:.3}"));
        }
        Event::Metric(MetricRecord::Eval { dev, .. }) => {
            bar.set_message(format!("dev {} {:.1}", dev.primary, dev.primary_value()));
        }
        Event::SetAside { path } => bar.suspend(|| {
            terminal::note(&format!(
                "what a run before this one left unfinished is in {} now",
                path.display()
            ));
        }),
        _ => {}
    }
}

/// Push under a lock; a thread that panicked while holding it left the list whole.
fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(item);
}
