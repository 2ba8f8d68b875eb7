//! Runs as processes of this machine, several at a time, with a bar each.

use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;

use anyhow::{bail, ensure};
use fpt_train::{Event, MetricRecord, RunResult};
use indicatif::{MultiProgress, ProgressBar};

use super::children::Children;
use super::execute::{Executor, Stopped, note_finished};
use super::placement::Placement;
use super::plan::Planned;
use crate::{DeviceName, notes, stop, terminal};

/// Starts `fpt train` processes and follows them.
pub(super) struct Local<'a> {
    /// The `fpt` program.
    pub(super) program: &'a Path,
    /// Where its processes are held.
    pub(super) children: &'a Children,
    /// Experiment file.
    pub(super) config: &'a Path,
    /// Threads a process may use.
    pub(super) threads: usize,
    /// Devices, each by its own name.
    pub(super) devices: &'a [DeviceName],
    /// Runs at a time.
    pub(super) jobs: usize,
    /// Whether unfinished runs begin anew.
    pub(super) restart: bool,
    /// Steps between checkpoints, beside those that runs write by time.
    pub(super) checkpoint_steps: Option<NonZeroUsize>,
}

impl Executor for Local<'_> {
    /// Some at a time, each on one of the devices.
    fn run_all(&self, runs: &[Planned]) -> anyhow::Result<Vec<String>> {
        let jobs = self.jobs;
        let open: Vec<&Planned> = runs.iter().filter(|run| run.finished.is_none()).collect();
        note_finished(runs.len() - open.len(), runs.len());
        let bars = MultiProgress::new();
        let total = bars.add(terminal::still_bar(runs.len(), "runs"));
        total.set_position((runs.len() - open.len()) as u64);
        total.tick();
        let placement = Placement::new(open.len(), jobs, self.devices.len());
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs)
                .map(|job| {
                    let (placement, open, bars, total) = (&placement, &open, &bars, &total);
                    let failures = &failures;
                    scope.spawn(move || {
                        let device = placement.device(job);
                        while let Some(run) = placement.next(device).filter(|_| !stop::is_asked()) {
                            let run = open[run];
                            let name = run.name();
                            let bar = bars.insert_before(total, terminal::still_bar(1, &name));
                            let outcome = self.run(run, &self.devices[device], &bar);
                            bar.finish_and_clear();
                            match outcome {
                                Ok(result) => {
                                    total.inc(1);
                                    let line = format!("{name}: {}", describe(&result));
                                    bars.suspend(|| terminal::note(&line));
                                }
                                Err(_) if stop::is_asked() => {}
                                Err(error) => {
                                    let why = terminal::with_causes(&error);
                                    push(failures, format!("{name}: {why}"));
                                }
                            }
                        }
                    })
                })
                .collect();
            for worker in workers {
                // One that panics is told by the scope.
                let _ = worker.join();
            }
        });
        let finished = total.position();
        total.finish_and_clear();
        if stop::is_asked() {
            terminal::note(&format!(
                "stopped by {} with {finished} of {} runs finished; the same command goes on with the others",
                stop::reason(),
                runs.len()
            ));
            return Err(Stopped.into());
        }
        Ok(failures.into_inner().unwrap_or_default())
    }

    fn output(&self, arguments: &[String]) -> anyhow::Result<Vec<u8>> {
        let output = self.children.output(
            Command::new(self.program)
                .args(arguments)
                .arg("--with-parent")
                .args(["--device", &self.devices[0].to_string()]),
        )?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("{}", message.trim().trim_start_matches("error: "));
        }
        printed(output.stdout)
    }
}

impl Local<'_> {
    fn run(
        &self,
        run: &Planned,
        device: &DeviceName,
        bar: &ProgressBar,
    ) -> anyhow::Result<RunResult> {
        let mut command = Command::new(self.program);
        command
            .args(["train", "--json", "--with-parent", "--config"])
            .arg(self.config)
            .args(["--device", &device.to_string()])
            .args(run.arguments())
            .env("RAYON_NUM_THREADS", self.threads.to_string());
        if self.restart {
            command.arg("--restart");
        }
        if let Some(steps) = self.checkpoint_steps {
            command.args(["--checkpoint-steps", &steps.to_string()]);
        }
        let mut started = self.children.start(&mut command)?;
        let messages = started.messages();
        let mut result = None;
        let mut odd = None;
        for line in BufReader::new(started.stdout).lines() {
            // A line that a killed process did not end is no event.
            match line.map(|line| serde_json::from_str::<Event>(&line)) {
                Ok(Ok(event)) => {
                    show(&event, bar);
                    if let Event::Finished { result: finished } = event {
                        result = Some(*finished);
                    }
                }
                Ok(Err(error)) => odd = Some(error.to_string()),
                Err(error) => odd = Some(error.to_string()),
            }
        }
        let status = self.children.wait(started.place)?;
        let messages = messages.join().unwrap_or_default();
        match result {
            Some(result) if status.success() => Ok(result),
            _ => bail!("{}", ended(status, &messages, odd)),
        }
    }
}

/// What a command has printed, which is something.
pub(super) fn printed(output: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    ensure!(!output.is_empty(), "it printed nothing");
    Ok(output)
}

/// How a process ended that made no result.
fn ended(status: ExitStatus, messages: &str, odd: Option<String>) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = stop::signal_name(signal);
        return format!("killed by {name}; the same command goes on from its last checkpoint");
    }
    let said = messages.trim().trim_start_matches("error: ");
    if !said.is_empty() {
        return said.into();
    }
    let odd = odd.map_or_else(String::new, |odd| {
        format!(" after unexpected output: {odd}")
    });
    format!("it ended with {status}{odd}")
}

/// What came out, in a few words.
fn describe(result: &RunResult) -> String {
    format!(
        "{} {:.2} on {} after {} steps, {:.0} s",
        result.metric,
        result.reported.primary_value(),
        result.split,
        result.steps,
        result.seconds.train + result.seconds.evaluate,
    )
}

/// Let a bar follow the run: a step counts as a training batch, evaluations as their share of it.
fn show(event: &Event, bar: &ProgressBar) {
    for note in notes(event) {
        bar.suspend(|| terminal::note(&note));
    }
    match event {
        Event::Tokenized {
            split,
            examples,
            of,
        } => bar.set_message(format!("tokenizing {split}: {examples} of {of}")),
        Event::Loaded { steps, .. } => {
            bar.set_message("");
            bar.set_length(*steps as u64);
        }
        Event::NoPrompt { .. } => bar.reset_eta(),
        Event::Metric(MetricRecord::Step { step, loss, .. }) => {
            bar.set_position(*step as u64);
            bar.set_message(format!("loss {loss:.3}"));
        }
        Event::Metric(MetricRecord::Eval { dev, .. }) => {
            bar.set_message(format!("dev {} {:.1}", dev.primary, dev.primary_value()));
        }
        Event::Resumed { step, .. } => {
            bar.set_position(*step as u64);
            bar.reset_eta();
        }
        _ => {}
    }
}

/// Push under a lock; a thread that panicked while holding it left the list whole.
fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(item);
}
