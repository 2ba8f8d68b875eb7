//! What checkpoints cost: runs with them and without, in turns.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use fpt::{generate, terminal};
use fpt_train::{Experiment, FinishedRun};
use serde::Serialize;

use crate::bench::stats::{median, quartiles};
use crate::shell;

/// Medians over the turns.
#[derive(Serialize)]
pub(super) struct Outcome {
    turns: usize,
    /// Steps between checkpoints.
    every: usize,
    with: Seconds,
    without: Seconds,
    /// Whole runs with checkpoints by those without: the ratio of the medians, and quartiles of those of single turns.
    whole_ratio: f64,
    whole_quartiles: [f64; 2],
    /// The same of training alone, evaluations left out.
    training_ratio: f64,
    training_quartiles: [f64; 2],
    raw: Vec<Turn>,
}

/// How long a run took.
#[derive(Clone, Copy, Serialize)]
struct Seconds {
    /// The program, from its start to its end.
    whole: f64,
    /// Its steps, as it says itself.
    training: f64,
}

#[derive(Serialize)]
struct Turn {
    with: Seconds,
    without: Seconds,
}

impl Outcome {
    fn of(every: usize, raw: Vec<Turn>) -> Self {
        let values = |of: fn(&Turn) -> f64| raw.iter().map(of).collect::<Vec<_>>();
        let with = Seconds {
            whole: median(&values(|turn| turn.with.whole)),
            training: median(&values(|turn| turn.with.training)),
        };
        let without = Seconds {
            whole: median(&values(|turn| turn.without.whole)),
            training: median(&values(|turn| turn.without.training)),
        };
        Self {
            turns: raw.len(),
            every,
            with,
            without,
            whole_ratio: with.whole / without.whole,
            whole_quartiles: quartiles(&values(|turn| turn.with.whole / turn.without.whole)),
            training_ratio: with.training / without.training,
            training_quartiles: quartiles(&values(|turn| {
                turn.with.training / turn.without.training
            })),
            raw,
        }
    }

    pub(super) fn describe(&self) -> String {
        let line = |what, with, without, ratio, [low, high]: [f64; 2]| {
            format!(
                "{what} {with:.2} s with checkpoints, {without:.2} s without: {ratio:.4} ({low:.4} to {high:.4})"
            )
        };
        let whole = line(
            "whole runs",
            self.with.whole,
            self.without.whole,
            self.whole_ratio,
            self.whole_quartiles,
        );
        let training = line(
            "training",
            self.with.training,
            self.without.training,
            self.training_ratio,
            self.training_quartiles,
        );
        format!(
            "a checkpoint every {} steps, {} turns\n{whole}\n{training}",
            self.every, self.turns
        )
    }
}

/// In turns, the one and the other first.
pub(super) fn measure(
    fpt: &Path,
    config: &Path,
    turns: NonZeroUsize,
    every: NonZeroUsize,
    place: &Path,
) -> anyhow::Result<Outcome> {
    let experiment = Experiment::from_file(config)?;
    generate::ensure(&experiment)?;
    let run = |every| timed(fpt, config, &experiment, every, &place.join("run"));
    let bar = terminal::bar(turns.get(), "turns");
    let mut raw = Vec::new();
    for turn in 0..turns.get() {
        let (with, without);
        if turn % 2 == 0 {
            with = run(Some(every))?;
            without = run(None)?;
        } else {
            without = run(None)?;
            with = run(Some(every))?;
        }
        raw.push(Turn { with, without });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Outcome::of(every.get(), raw))
}

/// A run of the experiment's quick task, with checkpoints every so many steps, or with none, into `out`, which is removed.
fn timed(
    fpt: &Path,
    config: &Path,
    experiment: &Experiment,
    every: Option<NonZeroUsize>,
    out: &Path,
) -> anyhow::Result<Seconds> {
    let tasks = experiment
        .methods
        .quick
        .iter()
        .chain(experiment.tasks.names());
    let mut command = Command::new(fpt);
    command.args(["train", "--json", "--method", "pt", "--config"]);
    command.arg(config).arg("--out").arg(out);
    for task in tasks.take(1) {
        command.args(["--task", task.as_str()]);
    }
    command.args(["--checkpoint-time", "0s"]);
    if let Some(every) = every {
        command.args(["--checkpoint-steps", &every.to_string()]);
    }
    let start = Instant::now();
    shell::call(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    let whole = start.elapsed().as_secs_f64();
    let training = FinishedRun::read(out)?.result.seconds.train;
    shell::remove(out)?;
    Ok(Seconds { whole, training })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let seconds = |whole| Seconds {
            whole,
            training: whole / 2.0,
        };
        let turn = |with, without| Turn {
            with: seconds(with),
            without: seconds(without),
        };
        let outcome = Outcome::of(
            20,
            vec![turn(11.0, 10.0), turn(12.0, 10.0), turn(30.0, 12.0)],
        );
        assert_eq!(
            (outcome.turns, outcome.with.whole, outcome.without.training),
            (3, 12.0, 5.0)
        );
        assert_eq!((outcome.whole_ratio, outcome.training_ratio), (1.2, 1.2));
        assert!(
            outcome.describe().contains("1.2000 (1.1500 to 1.8500)"),
            "{}",
            outcome.describe()
        );
    }
}
