//! Waiting for jobs, with a bar for each run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};

use super::ledger::{Element, Ledger};
use super::progress::State;
use super::queue::{self, JobId, Phase, Told};
use super::{Known, line_of_failure};
use crate::grid::Planned;
use crate::grid::execute::Stopped;
use crate::{stop, terminal};

/// Between two looks: often at first, and then as seldom as those who run clusters ask.
const FIRST: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(15);

/// Follow `runs` until none of them waits or runs. Returns what failed, a line each.
///
/// # Errors
/// [`Stopped`], while the jobs go on; and what `element` says.
pub(super) fn follow(
    runs: &[Planned],
    ledger: &Ledger,
    element: impl Fn(&Planned) -> anyhow::Result<Element>,
) -> anyhow::Result<Vec<String>> {
    let open = runs
        .iter()
        .filter(|run| run.finished.is_none())
        .map(element);
    let open = open.collect::<anyhow::Result<Vec<_>>>()?;
    let mut shown = Shown::new(runs.len());
    let mut pause = Pause::new();
    loop {
        let mut known = Known::default();
        let states = open
            .iter()
            .map(|it| Ok((it, known.state_after_all(it, ledger)?)));
        match states.collect::<anyhow::Result<Vec<_>>>() {
            Ok(states) => {
                shown.update(&states, runs.len() - open.len());
                if !states.iter().any(|(_, state)| state.is_live()) {
                    return Ok(shown.end(&states));
                }
            }
            // The controller may be busy, or be restarted: the jobs know nothing of that.
            Err(error) => shown.trouble(&terminal::with_causes(&error)),
        }
        if !pause.pass() {
            shown.clear();
            terminal::note(&format!(
                "stopped by {}; the jobs go on: the same command waits for them again, and scancel ends them",
                stop::reason()
            ));
            return Err(Stopped.into());
        }
    }
}

/// Wait for the end of a job that is no array; what Slurm says of it then, if it knows.
///
/// # Errors
/// [`Stopped`].
pub(super) fn end_of(job: &JobId) -> anyhow::Result<Option<Told>> {
    let mut pause = Pause::new();
    loop {
        match queue::told(job) {
            Ok(told) => match told.into_values().next() {
                Some(told) if told.phase() != Phase::Over => {}
                told => return Ok(told),
            },
            Err(error) => terminal::note(&terminal::with_causes(&error)),
        }
        if !pause.pass() {
            queue::cancel(job);
            return Err(Stopped.into());
        }
    }
}

struct Pause {
    start: Instant,
}

impl Pause {
    fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Wait until it is time to look again; false if this program is to stop.
    fn pass(&mut self) -> bool {
        let length = (self.start.elapsed() / 10).clamp(FIRST, LATER);
        let start = Instant::now();
        while start.elapsed() < length {
            if stop::is_asked() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

/// What people see.
struct Shown {
    bars: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<PathBuf, ProgressBar>,
    /// Failures that were told.
    failed: Vec<PathBuf>,
    troubled: bool,
}

impl Shown {
    fn new(runs: usize) -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(terminal::still_bar(runs, "runs"));
        Self {
            bars,
            total,
            running: BTreeMap::new(),
            failed: Vec::new(),
            troubled: false,
        }
    }

    fn update(&mut self, states: &[(&Element, State)], before: usize) {
        self.troubled = false;
        let (mut finished, mut queued) = (before, 0);
        for (element, state) in states {
            if let State::Running { node, step, .. } = state {
                self.show(element, node, *step);
            } else if let Some(bar) = self.running.remove(&element.directory) {
                bar.finish_and_clear();
                self.tell(&format!("{}: {}", element.name, word(state)));
            }
            match state {
                State::Finished => finished += 1,
                State::Queued { .. } => queued += 1,
                State::Failed { .. } if !self.failed.contains(&element.directory) => {
                    self.failed.push(element.directory.clone());
                    self.tell(&line_of_failure(&element.name, state));
                }
                _ => {}
            }
        }
        self.total.set_position(finished as u64);
        self.total.set_message(format!(
            "{} running, {queued} queued, {} failed",
            self.running.len(),
            self.failed.len()
        ));
        self.total.tick();
    }

    fn show(&mut self, element: &Element, node: &str, step: usize) {
        let known = self.running.contains_key(&element.directory);
        let bar = self
            .running
            .entry(element.directory.clone())
            .or_insert_with(|| {
                let bar = terminal::still_bar(element.steps, &element.name);
                self.bars.insert_before(&self.total, bar)
            });
        if !known {
            // What it did before is no measure of its pace.
            bar.set_position(step as u64);
            bar.reset_eta();
        }
        bar.set_position(step as u64);
        bar.set_message(format!("on {node}"));
        bar.tick();
        if !known {
            self.tell(&format!("{}: runs on {node}", element.name));
        }
    }

    fn trouble(&mut self, message: &str) {
        if !std::mem::replace(&mut self.troubled, true) {
            self.tell(&format!("{message}; asking again"));
        }
    }

    fn tell(&self, line: &str) {
        self.bars.suspend(|| terminal::note(line));
    }

    fn clear(&self) {
        for bar in self.running.values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }

    /// What failed, a line each.
    fn end(&self, states: &[(&Element, State)]) -> Vec<String> {
        self.clear();
        let failed = states.iter().filter(|(_, state)| *state != State::Finished);
        failed
            .map(|(element, state)| line_of_failure(&element.name, state))
            .collect()
    }
}

fn word(state: &State) -> &'static str {
    match state {
        State::Finished => "finished",
        State::Queued { .. } => "was put back into the queue",
        State::Running { .. } => "runs",
        State::Failed { .. } => "failed",
        State::New => "is gone from the queue",
    }
}
