//! `cargo xtask torture`: do to runs what happens to long ones, go on with them, and compare what comes out.

mod campaign;
mod cluster;
mod contents;
mod errors;
mod kills;
mod log;
mod mounts;
mod power;
mod room;
mod saved;
mod strace;
mod victim;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args as ClapArgs;
use fpt::{generate, stop, terminal};
use fpt_train::Experiment;
use serde::Serialize;

use self::campaign::{Campaign, Outcome, execute};
use self::cluster::Cluster;
use self::errors::Errors;
use self::kills::Kills;
use self::log::{Log, Setting};
use self::power::Power;
use self::room::{FullDisk, ReadOnly};
use self::victim::{Programs, Victim, settings, victims};
use crate::shell;

/// Let runs and grids meet faults at random moments, give the same command again, and compare each end with that of an
/// undisturbed run, file by file and bit by bit, but for seconds and memory.
///
/// Without any of --kills, --errors, --power, --full-disk, --read-only and --cluster there are 200 kills. Each counts faults. With
/// --out a campaign that was stopped goes on when the same command is given again; each end is a line of `ends.jsonl`
/// there.
///
/// Exit status 1 if any differs.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Kills (SIGKILL, which leaves no time for anything).
    #[arg(long, value_name = "N")]
    kills: Option<usize>,

    /// Calls of the system that fail, as on a full or broken disk, one in a run (where locks are missing, all); needs strace.
    #[arg(long, value_name = "N")]
    errors: Option<usize>,

    /// Power cuts: all that was not written to the device is lost. Needs Linux and root.
    #[arg(long, value_name = "N")]
    power: Option<usize>,

    /// Disks that become full, and are enlarged when the run has ended. Needs Linux and root.
    #[arg(long, value_name = "N")]
    full_disk: Option<usize>,

    /// Disks that become read-only, and are mended when the run has ended. Needs Linux and root.
    #[arg(long, value_name = "N")]
    read_only: Option<usize>,

    /// What happens to grids on a cluster, seven things to each: too little memory, a node that loses its power, preemption,
    /// the end of a job's time. Needs Linux, root, and Slurm, of which it starts one of four nodes on this machine.
    #[arg(long, value_name = "N")]
    cluster: Option<usize>,

    /// With --power: let syncing do nothing, which loses runs; to see that the campaign would notice. Needs strace.
    #[arg(long, requires = "power")]
    unsynced: bool,

    /// Seed of the moments.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Optimizer steps of a run.
    #[arg(long, default_value_t = 40)]
    steps: usize,

    /// Examples of each split, of data that is generated for the campaign, instead of the experiment's.
    #[arg(long)]
    examples: Option<usize>,

    /// Change a setting of all runs, such as train.batch_size=8; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory to work in: a new one, or that of a campaign to go on with. By default one for temporary files that is
    /// removed.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Outcomes {
    #[serde(flatten)]
    setting: Setting,
    outcomes: Vec<Outcome>,
    /// Campaigns that were not to be had on this machine, and why.
    skipped: Vec<String>,
    seconds: f64,
}

/// What campaigns work with.
struct Ground {
    /// The directory of it all, absolute.
    place: PathBuf,
    programs: Programs,
    /// The settings of all runs, as arguments.
    settings: Vec<OsString>,
    /// None where there is only a cluster, which has others.
    victims: Vec<Victim>,
}

impl Ground {
    /// The victim of a trial: each in its turn.
    fn victim(&self, number: usize) -> &Victim {
        &self.victims[number % self.victims.len()]
    }
}

/// Do what is asked for, and compare.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let experiment = Experiment::from_file(&args.config)?;
    generate::ensure(&experiment)?;
    let temporary = tempfile::tempdir().context("no directory for temporary files")?;
    let place = args.out.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(place)
        .with_context(|| format!("failed to create {}", place.display()))?;
    let place = place.canonicalize()?;
    let setting = args.setting();
    let path = args.out.is_some().then(|| place.join("ends.jsonl"));
    let mut log = Log::open(path.as_deref(), &setting)?;
    let programs = Programs::new(&place)?;
    let settings = settings(args, &place)?;
    let victims = if args.only_cluster() {
        Vec::new()
    } else {
        victims(args, &place, &programs, &settings)?
    };
    let ground = Ground {
        place,
        programs,
        settings,
        victims,
    };
    stop::listen()?;
    stop::at_work();
    let (mut outcomes, mut skipped) = (Vec::new(), Vec::new());
    for (mut campaign, wanted) in args.campaigns(&ground) {
        if let Some(missing) = campaign.missing() {
            let line = format!("{} is skipped: {missing}", campaign.name());
            terminal::note(&line);
            skipped.push(line);
        } else {
            outcomes.push(execute(&mut *campaign, wanted, args.seed, &mut log)?);
        }
    }
    let outcomes = Outcomes {
        setting,
        outcomes,
        skipped,
        seconds: start.elapsed().as_secs_f64(),
    };
    tell(&outcomes, args.json)
}

impl Args {
    fn setting(&self) -> Setting {
        Setting {
            config: self.config.display().to_string(),
            seed: self.seed,
            steps: self.steps,
            examples: self.examples,
            overrides: self.overrides.clone(),
            unsynced: self.unsynced,
            revision: fpt::revision().into(),
        }
    }

    /// Faults of single runs, besides kills.
    fn others(&self) -> [Option<usize>; 4] {
        [self.errors, self.power, self.full_disk, self.read_only]
    }

    fn only_cluster(&self) -> bool {
        let others = self.others().into_iter().chain([self.kills]);
        self.cluster.is_some() && others.flatten().next().is_none()
    }

    /// What is asked for, and how many faults of each.
    fn campaigns<'a>(&'a self, ground: &'a Ground) -> Vec<(Box<dyn Campaign + 'a>, usize)> {
        let power = Power {
            ground,
            unsynced: self.unsynced,
        };
        let cluster = Cluster {
            ground,
            config: &self.config,
        };
        let others = self.others().iter().all(Option::is_none);
        let by_default = (others && self.cluster.is_none()).then_some(200);
        let all: [(Box<dyn Campaign + 'a>, Option<usize>); 6] = [
            (Box::new(Kills(ground)), self.kills.or(by_default)),
            (Box::new(Errors::new(ground)), self.errors),
            (Box::new(power), self.power),
            (Box::new(FullDisk(ground)), self.full_disk),
            (Box::new(ReadOnly(ground)), self.read_only),
            (Box::new(cluster), self.cluster),
        ];
        let asked = all.into_iter();
        asked
            .filter_map(|(campaign, wanted)| Some((campaign, wanted?)))
            .collect()
    }
}

fn tell(outcomes: &Outcomes, json: bool) -> anyhow::Result<()> {
    let all = &outcomes.outcomes;
    if json {
        terminal::print_json(outcomes)?;
    } else {
        for outcome in all {
            let Setting { seed, .. } = outcomes.setting;
            terminal::print_line(&format!("{}; seed {seed}", outcome.line()))?;
        }
        terminal::print_line(&format!("{:.0} s", outcomes.seconds))?;
    }
    let differences: Vec<&str> = (all.iter())
        .flat_map(|outcome| &outcome.differences)
        .map(String::as_str)
        .collect();
    if !differences.is_empty() {
        bail!("{}", differences.join("\n"));
    }
    if all.is_empty() {
        bail!("nothing was done: {}", outcomes.skipped.join("; "));
    }
    Ok(())
}

/// A new directory of this name; what a campaign that was stopped left there is gone.
fn place_for(place: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let directory = place.join(name);
    mounts::release(&directory.join("disk"))?;
    shell::remove(&directory)?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("failed to create {}", directory.display()))?;
    Ok(directory)
}
