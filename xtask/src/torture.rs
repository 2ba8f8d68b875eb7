//! `cargo xtask torture`: kill runs at random moments, go on with them, and compare what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args as ClapArgs;
use fpt::terminal;
use fpt_train::Experiment;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::Value;

use crate::{data, shell};

/// Of so many kills in a row one may hit; then the run is left alone for once, so that it comes to an end.
const IN_A_ROW: usize = 12;

/// Kill runs and grids at random moments (SIGKILL, which leaves no time for anything), start them again at once, and
/// compare each end with that of an undisturbed run, file by file and bit by bit, but for seconds and memory.
///
/// Exit status 1 if any differs.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Kills, altogether.
    #[arg(long, default_value_t = 200)]
    kills: usize,

    /// Seed of the moments.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Optimizer steps of a run.
    #[arg(long, default_value_t = 40)]
    steps: usize,

    /// Directory to work in, which must not exist; by default one for temporary files that is removed.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Outcome {
    seed: u64,
    kills: usize,
    /// Runs and grids that came to an end after kills.
    ends: usize,
    identical: usize,
    /// What differed, or failed.
    differences: Vec<String>,
    seconds: f64,
}

/// What is killed: a command, and the directory that it makes.
struct Victim {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Victim {
    fn start(&self, out: &Path) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .arg("--out")
            .arg(out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))
    }

    /// To the end, undisturbed.
    fn finish(&self, out: &Path) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let output = self.start(out)?.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{} ended with {}: {}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(start.elapsed())
    }

    /// Start it and kill it after `after`. Returns whether it was still at work.
    fn kill(&self, out: &Path, after: Duration) -> anyhow::Result<bool> {
        let mut child = self.start(out)?;
        let start = Instant::now();
        while start.elapsed() < after {
            if let Some(status) = child.try_wait()? {
                let output = child.wait_with_output()?;
                let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
                ensure!(
                    status.success(),
                    "{} ended with {status}: {said}",
                    self.name
                );
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill()?;
        child.wait()?;
        Ok(true)
    }
}

/// Kill, go on, compare.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let experiment = Experiment::from_file(&args.config)?;
    if let Some(generate) = &experiment.generate {
        data::ensure(&experiment.data, generate)?;
    }
    let temporary = tempfile::tempdir().context("no directory for temporary files")?;
    let place = args
        .out
        .clone()
        .unwrap_or_else(|| temporary.path().join("torture"));
    std::fs::create_dir_all(&place)?;
    let victims = victims(args)?;
    let mut random = ChaCha8Rng::seed_from_u64(args.seed);
    let mut outcome = Outcome {
        seed: args.seed,
        kills: 0,
        ends: 0,
        identical: 0,
        differences: Vec::new(),
        seconds: 0.0,
    };
    let mut undisturbed = Vec::new();
    for victim in &victims {
        let out = place.join(format!("{}-whole", victim.name));
        let took = victim.finish(&out)?;
        undisturbed.push((took, contents(&out)?));
    }
    let bar = terminal::bar(args.kills, "kills");
    while outcome.kills < args.kills {
        for (victim, (took, expected)) in victims.iter().zip(&undisturbed) {
            let out = place.join(format!("{}-{}", victim.name, outcome.ends));
            let left = args.kills - outcome.kills;
            let kills = torment(victim, &out, *took, left, &mut random);
            let differences = match kills {
                Ok(kills) => {
                    outcome.kills += kills;
                    differences(expected, &contents(&out)?)
                }
                Err(error) => vec![terminal::with_causes(&error)],
            };
            bar.set_position(outcome.kills as u64);
            outcome.ends += 1;
            if differences.is_empty() {
                outcome.identical += 1;
                std::fs::remove_dir_all(&out)?;
            } else {
                let of = |difference| format!("{}: {difference}", out.display());
                outcome.differences.extend(differences.into_iter().map(of));
            }
        }
        ensure!(
            outcome.differences.len() < 20,
            "too much differs:\n{}",
            outcome.differences.join("\n")
        );
    }
    bar.finish_and_clear();
    outcome.seconds = start.elapsed().as_secs_f64();
    tell(&outcome, args.json)
}

fn tell(outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    if json {
        terminal::print_json(outcome)?;
    } else {
        terminal::print_line(&format!(
            "{} kills, seed {}: {} of {} ends are those of undisturbed runs, to the bit; {:.0} s",
            outcome.kills, outcome.seed, outcome.identical, outcome.ends, outcome.seconds
        ))?;
    }
    if outcome.differences.is_empty() {
        return Ok(());
    }
    bail!("{}", outcome.differences.join("\n"))
}

/// A single run of one stage, one of several, and a grid.
fn victims(args: &Args) -> anyhow::Result<Vec<Victim>> {
    let fpt = shell::build_fpt()?;
    let this = std::env::current_exe().context("this program can't be found")?;
    let settings = [
        format!("train.steps={}", args.steps),
        format!("eval.every={}", (args.steps / 4).max(1)),
    ];
    let set = || {
        settings
            .iter()
            .flat_map(|setting| ["--set", setting].map(OsString::from))
    };
    let words = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
    let train = |name, task, method| {
        let mut arguments = words(&["train", "--task", task, "--method", method]);
        arguments.extend(words(&["--checkpoint-steps", "5", "--config"]));
        arguments.push(args.config.clone().into());
        arguments.extend(set());
        Victim {
            name,
            program: fpt.clone(),
            arguments,
        }
    };
    let mut grid = words(&["reproduce"]);
    grid.push(args.config.clone().into());
    grid.extend(words(&["--quick", "--checkpoint-steps", "5"]));
    grid.extend(set());
    Ok(vec![
        train("stages", "mnli", "fpt-cr"),
        train("one", "qqp", "pt"),
        Victim {
            name: "grid",
            program: this,
            arguments: grid,
        },
    ])
}

/// Kill it at random moments until it comes to an end. Returns how often that was, `most` at most.
fn torment(
    victim: &Victim,
    out: &Path,
    took: Duration,
    most: usize,
    random: &mut impl Rng,
) -> anyhow::Result<usize> {
    let mut kills = 0;
    while kills < most.min(IN_A_ROW) {
        let after = took.mul_f64(random.random_range(0.0..0.9));
        if !victim.kill(out, after)? {
            return Ok(kills);
        }
        kills += 1;
    }
    victim.finish(out)?;
    Ok(kills)
}

/// All files below a directory by their names, without what time and machine have to do with. What lies in the cache,
/// and what a report says of times, is left out.
fn contents(directory: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.strip_prefix(directory)?.to_path_buf();
            if path.is_dir() {
                if name != Path::new("cache") {
                    open.push(path);
                }
                continue;
            }
            let bytes = std::fs::read(&path)?;
            let file = name.file_name().unwrap_or_default().to_string_lossy();
            let content = match &*file {
                "result.json" => timeless(&bytes)?,
                comparison if comparison.starts_with("similarity-") => timeless(&bytes)?,
                "metrics.jsonl" => {
                    let lines = bytes
                        .split(|&byte| byte == b'\n')
                        .filter(|line| !line.is_empty());
                    lines
                        .map(timeless)
                        .collect::<anyhow::Result<Vec<_>>>()?
                        .concat()
                }
                // They follow from the others.
                "index.html" | "report.md" | "results.json" | "results.csv" | "SHA256SUMS" => {
                    Vec::new()
                }
                _ => bytes,
            };
            found.insert(name, content);
        }
    }
    Ok(found)
}

/// JSON without seconds, memory and the paths of runs.
fn timeless(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| {
                    !key.contains("seconds") && !["peak_memory", "runs"].contains(&key.as_str())
                });
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_slice(json)?;
    strip(&mut value);
    Ok(value.to_string().into_bytes())
}

fn differences(
    expected: &BTreeMap<PathBuf, Vec<u8>>,
    found: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<String> {
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name));
    differing
        .map(|name| match (expected.get(name), found.get(name)) {
            (None, _) => format!("{} should not be there", name.display()),
            (_, None) => format!("{} is missing", name.display()),
            _ => format!("{} differs", name.display()),
        })
        .collect()
}
