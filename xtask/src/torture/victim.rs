//! What meets the faults: commands that make a directory.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fpt_world::{TaskOptions, write_tasks};
use rand::{Rng, RngExt};

use super::contents::Contents;
use super::{Args, place_for};
use crate::shell;

/// A command, the directory that it makes, and what comes of it undisturbed.
pub(super) struct Victim {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// How long it took the last time that it was undisturbed from its beginning to its end. Machines have other things
    /// to do, too.
    took: Cell<Duration>,
    /// What it comes to, undisturbed.
    pub(super) expected: Contents,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it said on standard error.
    pub(super) said: String,
    /// How long it was at work.
    pub(super) took: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.said)
    }
}

/// A command at work, in a process group of its own.
pub(super) struct Running {
    child: Child,
    start: Instant,
}

impl Victim {
    /// Start it, under the program `tracer` with its arguments, if that is not empty.
    pub(super) fn start(&self, tracer: &[OsString], out: &Path) -> anyhow::Result<Running> {
        let words = [tracer, &[self.program.clone().into()], &self.arguments[..]].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--out").arg(out);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // An interrupt from the terminal is for the campaign alone, which looks at it when nothing is lost.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn();
        let child = child.with_context(|| format!("failed to start {}", words[0].display()))?;
        Ok(Running {
            child,
            start: Instant::now(),
        })
    }

    /// A moment of its work, or soon after it.
    pub(super) fn moment(&self, random: &mut impl Rng) -> Duration {
        self.took.get().mul_f64(random.random_range(0.0..1.1))
    }

    /// It was at work for so long, undisturbed, from its beginning to its end.
    pub(super) fn took(&self, time: Duration) {
        self.took.set(time);
    }

    /// To the end, undisturbed, which must be a good one. Returns how long that took.
    pub(super) fn finish(&self, out: &Path) -> anyhow::Result<Duration> {
        let ended = self.start(&[], out)?.end()?;
        ensure!(ended.status.success(), "{} ended with {ended}", self.name);
        Ok(ended.took)
    }

    /// To the end, undisturbed. Returns what is wrong with that, and with what it came to.
    pub(super) fn differences(&self, out: &Path) -> Vec<String> {
        let found = self.finish(out).and_then(|_| Contents::of(out));
        match found {
            Ok(found) => self.expected.differences(&found),
            Err(error) => vec![fpt::terminal::with_causes(&error)],
        }
    }
}

impl Running {
    /// Whether it ends within `time` of its start, or has ended.
    pub(super) fn end_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            if self.start.elapsed() >= time {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Wait for its end.
    pub(super) fn end(self) -> anyhow::Result<Ended> {
        let output = self.child.wait_with_output()?;
        Ok(Ended {
            took: self.start.elapsed(),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_string(),
        })
    }

    /// SIGKILL, which leaves no time for anything.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGKILL for it and all that it has started.
    pub(super) fn kill_all(mut self) -> anyhow::Result<()> {
        let group = format!("-{}", self.child.id());
        shell::call(Command::new("kill").args(["-KILL", "--", &group]))?;
        self.child.wait()?;
        Ok(())
    }
}

/// Copies of this program and of `fpt`: whoever builds during a campaign changes nothing about it.
pub(super) struct Programs {
    this: PathBuf,
    pub(super) fpt: PathBuf,
}

impl Programs {
    /// Below `place`.
    pub(super) fn new(place: &Path) -> anyhow::Result<Self> {
        let programs = place_for(place, "programs")?;
        let copied = |from: PathBuf, name: &str| -> anyhow::Result<PathBuf> {
            let to = programs.join(name);
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
            Ok(to)
        };
        let this = std::env::current_exe().context("this program can't be found")?;
        Ok(Self {
            // Before it is built anew, maybe.
            this: copied(this, "xtask")?,
            fpt: copied(shell::build_fpt()?, "fpt")?,
        })
    }
}

/// A single run of several stages, one of one stage, and a grid, which have all come to their ends once, below `place`.
pub(super) fn victims(
    args: &Args,
    place: &Path,
    programs: &Programs,
    set: &[OsString],
) -> anyhow::Result<Vec<Victim>> {
    let Programs { this, fpt } = programs;
    let commands = commands(args, fpt, set);
    let mut victims = Vec::new();
    for (name, words) in commands {
        let out = place_for(place, &format!("whole-{name}"))?.join("run");
        let mut victim = Victim {
            name,
            program: if name == "grid" { this } else { fpt }.clone(),
            arguments: words,
            took: Cell::default(),
            expected: Contents::default(),
        };
        victim.took(victim.finish(&out)?);
        victim.expected = Contents::of(&out)?;
        victims.push(victim);
    }
    Ok(victims)
}

/// The settings that make runs short.
pub(super) fn settings(args: &Args, place: &Path) -> anyhow::Result<Vec<OsString>> {
    let mut settings = vec![
        format!("train.steps={}", args.steps),
        format!("eval.every={}", (args.steps / 4).max(1)),
    ];
    settings.extend_from_slice(&args.overrides);
    if let Some(examples) = args.examples {
        let data = place.join("data");
        let options = TaskOptions {
            seed: 5,
            train: examples,
            dev: examples,
            test: examples,
        };
        write_tasks(&data, &options)?;
        // Strings of TOML and of JSON are alike.
        settings.push(format!("data={}", serde_json::to_string(&data)?));
    }
    let set = settings
        .iter()
        .flat_map(|setting| ["--set", setting].map(OsString::from));
    Ok(set.collect())
}

fn commands(args: &Args, fpt: &Path, set: &[OsString]) -> [(&'static str, Vec<OsString>); 3] {
    let words = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
    let train = |task, method| {
        let mut arguments = words(&["train", "--task", task, "--method", method]);
        arguments.extend(words(&["--checkpoint-steps", "5", "--config"]));
        arguments.push(args.config.clone().into());
        arguments.extend_from_slice(set);
        arguments
    };
    let mut grid = words(&["reproduce"]);
    grid.push(args.config.clone().into());
    grid.extend(words(&["--quick", "--checkpoint-steps", "5", "--program"]));
    grid.push(fpt.into());
    grid.extend_from_slice(set);
    [
        ("stages", train("mnli", "fpt-cr")),
        ("one", train("qqp", "pt")),
        ("grid", grid),
    ]
}
