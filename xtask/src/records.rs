//! `cargo xtask records`: claims that were written down, and what runs say to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use fpt::grid::{
    Ground, Planned, RunArgs, Submitted, find_finished, open, retain_current, retain_possible,
    start_settings,
};
use fpt::{model, terminal};
use fpt_report::{Arm, Claim, Evidence, MarkdownTable, Pair, Run, Verdict};
use fpt_tasks::TaskName;
use fpt_train::Experiment;

use crate::shell;

/// Judge claims by runs, and make the runs that are missing.
///
/// A claim is a file that stands before its runs are made: what is compared, on which tasks, with which seeds, and which
/// limits must be kept. The verdict is written beside it, NAME.md, with the exact paired test, effect size and confidence
/// interval, and every run's figures, NAME.csv. Runs are shared by the claims of an experiment, found again when they are
/// finished, and gone on with when they are not. A claim that does not hold is a result as good as another: the exit
/// status is 0.
#[derive(ClapArgs)]
pub struct Args {
    /// Claims; by default all of docs/records.
    claims: Vec<PathBuf>,

    /// Directory of the runs, in one below it for each experiment.
    #[arg(long, default_value = "runs/records")]
    out: PathBuf,

    /// Print the verdicts as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    run: RunArgs,
}

const RECORDS: &str = "docs/records";

/// A claim and where it stands.
struct Filed {
    path: PathBuf,
    claim: Claim,
}

/// Make what is missing, and judge.
pub fn run(args: &Args) -> anyhow::Result<()> {
    args.run.listen()?;
    let mut by_experiment: BTreeMap<PathBuf, Vec<Filed>> = BTreeMap::new();
    for path in args.claims()? {
        let claim = Claim::from_file(&path)?;
        let experiment = claim.experiment.clone();
        let experiment = experiment.canonicalize().unwrap_or(experiment);
        by_experiment
            .entry(experiment)
            .or_default()
            .push(Filed { path, claim });
    }
    let mut verdicts = Vec::new();
    let (mut failures, mut submitted) = (Vec::new(), false);
    for (config, claims) in &by_experiment {
        let campaign = Campaign::new(args, config, claims)?;
        if args.run.show_status(&campaign.out, args.json)? {
            continue;
        }
        match campaign.run(args) {
            Ok(outcome) => {
                verdicts.extend(outcome.verdicts);
                failures.extend(outcome.failures);
            }
            // So are the runs of the others.
            Err(error) if error.is::<Submitted>() => submitted = true,
            Err(error) => return Err(error),
        }
    }
    if args.run.status {
        return Ok(());
    }
    if submitted {
        return Err(Submitted.into());
    }
    if args.json {
        let verdicts: BTreeMap<_, _> = verdicts.into_iter().collect();
        terminal::print_line(&serde_json::to_string_pretty(&verdicts)?)?;
    } else {
        let mut table = MarkdownTable::new(["claim", "holds"]);
        for (name, verdict) in &verdicts {
            let holds = if verdict.holds() { "yes" } else { "no" };
            table.add_row([name.as_str(), holds]);
        }
        terminal::print_line(&table.to_string())?;
    }
    ensure!(
        failures.is_empty(),
        "some runs failed, and claims that need them have no verdict; the same command tries them again\n{}",
        failures.join("\n")
    );
    Ok(())
}

impl Args {
    fn claims(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.claims.is_empty() {
            return Ok(self.claims.clone());
        }
        let entries = std::fs::read_dir(RECORDS)
            .with_context(|| format!("failed to read {RECORDS}; name the claims"))?;
        let mut claims = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                claims.push(path);
            }
        }
        claims.sort();
        ensure!(!claims.is_empty(), "{RECORDS} holds no claim");
        Ok(claims)
    }
}

/// The claims of one experiment, and all their runs, each once.
struct Campaign<'a> {
    config: &'a Path,
    claims: &'a [Filed],
    experiment: Experiment,
    out: PathBuf,
    runs: Vec<Planned>,
    starts: Vec<Planned>,
}

/// What became of a campaign.
struct Outcome {
    /// By the names of the claims.
    verdicts: Vec<(String, Verdict)>,
    /// What failed, a line each.
    failures: Vec<String>,
}

impl<'a> Campaign<'a> {
    fn new(args: &Args, config: &'a Path, claims: &'a [Filed]) -> anyhow::Result<Self> {
        let experiment = Experiment::from_file(config)?;
        let out = args.out.join(config.file_stem().unwrap_or_default());
        let mut campaign = Self {
            config,
            claims,
            experiment,
            out,
            runs: Vec::new(),
            starts: Vec::new(),
        };
        for filed in claims {
            let planned = campaign.plan(&filed.claim);
            planned.with_context(|| filed.path.display().to_string())?;
        }
        // Seed by seed, so that an end before the last run leaves whole pairs.
        campaign.runs.sort_by_key(|run| run.config.seed);
        campaign.starts.sort_by_key(|run| run.config.seed);
        Ok(campaign)
    }

    fn plan(&mut self, claim: &Claim) -> anyhow::Result<()> {
        for &seed in &claim.seeds {
            for task in &self.experiment.tasks_or_all(&claim.tasks).to_vec() {
                for arm in [&claim.ours, &claim.theirs] {
                    let directory = self.directory(task, arm, seed);
                    let settings = arm.settings.clone();
                    let run = Planned::new(
                        &self.experiment,
                        task,
                        arm.method,
                        seed,
                        settings,
                        directory,
                    )?;
                    once(&mut self.runs, run)?;
                }
                let Some(start) = &claim.start else {
                    continue;
                };
                let [from_ours, fresh] = self.start_directories(claim, task, seed);
                let ours = self.directory(task, &claim.ours, seed);
                for (directory, from) in [(from_ours, Some(ours.as_path())), (fresh, None)] {
                    let mut settings = claim.theirs.settings.clone();
                    settings.extend(start_settings(start.every, from)?);
                    let method = claim.theirs.method;
                    let run =
                        Planned::new(&self.experiment, task, method, seed, settings, directory)?;
                    once(&mut self.starts, run)?;
                }
            }
        }
        Ok(())
    }

    fn directory(&self, task: &TaskName, arm: &Arm, seed: u64) -> PathBuf {
        self.out.join(format!("{task}-{}-s{seed}", arm.slug()))
    }

    /// From our prompt, and from a fresh one.
    fn start_directories(&self, claim: &Claim, task: &TaskName, seed: u64) -> [PathBuf; 2] {
        let every = claim.start.as_ref().map_or(0, |start| start.every);
        let from = format!("from-{}", claim.ours.slug());
        [from, format!("fresh-{}", claim.theirs.slug())].map(|name| {
            let name = format!("{task}-{name}-every{every}-s{seed}");
            self.out.join("init").join(name)
        })
    }

    fn run(mut self, args: &Args) -> anyhow::Result<Outcome> {
        let devices = args.run.devices()?;
        let _claim = open(&self.out, &self.experiment)?;
        let mut fingerprinter = model::fingerprinter();
        find_finished(&mut self.runs, &mut fingerprinter, args.run.force_new)?;
        let is_open = |run: &Planned| run.finished.is_none();
        let mut failures = Vec::new();
        if self.runs.iter().any(is_open) || !self.starts.is_empty() {
            let configs: Vec<_> = self.runs.iter().map(|run| run.config.clone()).collect();
            let ground = Ground {
                find: shell::build_among,
                experiment: &self.experiment,
                config: self.config,
                out: &self.out,
                devices,
                count: configs.len(),
                runs: &configs,
            };
            let (runs, starts) = (&mut self.runs, &mut self.starts);
            failures = args.run.with_executor(&ground, |executor| {
                let mut failures = executor.run_all(runs)?;
                let mut now = model::fingerprinter();
                failures.extend(retain_current(runs, &mut now));
                retain_possible(starts, runs);
                find_finished(starts, &mut now, args.run.force_new)?;
                failures.extend(executor.run_all(starts)?);
                Ok(failures)
            })?;
        }
        let mut now = model::fingerprinter();
        failures.extend(retain_current(&mut self.runs, &mut now));
        failures.extend(retain_current(&mut self.starts, &mut now));
        self.judge(failures)
    }

    /// The verdicts of the claims whose runs are all there.
    fn judge(&self, failures: Vec<String>) -> anyhow::Result<Outcome> {
        let mut verdicts = Vec::new();
        for Filed { path, claim } in self.claims {
            let Some(evidence) = self.evidence(claim)? else {
                continue;
            };
            let verdict = claim.judge(self.experiment.tasks_or_all(&claim.tasks), &evidence)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let csv = format!("{name}.csv");
            let command = format!("cargo xtask records {}", path.display());
            let text = verdict.markdown(claim, &evidence, &command, &csv);
            fpt_files::write(path.with_extension("md"), &text)?;
            fpt_files::write(path.with_extension("csv"), evidence.csv())?;
            verdicts.push((name.into_owned(), verdict));
        }
        Ok(Outcome { verdicts, failures })
    }

    /// The runs of a claim; `None` if one is missing.
    fn evidence(&self, claim: &Claim) -> anyhow::Result<Option<Evidence>> {
        let has = |runs: &[Planned], path: &Path| runs.iter().any(|run| run.directory == path);
        let mut pairs = Vec::new();
        for &seed in &claim.seeds {
            for task in self.experiment.tasks_or_all(&claim.tasks) {
                let arms = [&claim.ours, &claim.theirs];
                let arms = arms.map(|arm| self.directory(task, arm, seed));
                let starts = self.start_directories(claim, task, seed);
                let wants_starts = claim.start.is_some();
                let all_there = arms.iter().all(|path| has(&self.runs, path))
                    && (!wants_starts || starts.iter().all(|path| has(&self.starts, path)));
                if !all_there {
                    return Ok(None);
                }
                let [ours, theirs] = &arms;
                pairs.push(Pair {
                    ours: Run::read(ours)?,
                    theirs: Run::read(theirs)?,
                    starts: match &starts {
                        [from_ours, fresh] if wants_starts => {
                            Some([Run::read(from_ours)?, Run::read(fresh)?])
                        }
                        _ => None,
                    },
                });
            }
        }
        Ok(Some(Evidence { pairs }))
    }
}

/// Add a run, unless it is there already.
fn once(runs: &mut Vec<Planned>, run: Planned) -> anyhow::Result<()> {
    match runs.iter().find(|other| other.directory == run.directory) {
        None => runs.push(run),
        Some(other) => ensure!(
            other.config == run.config,
            "two claims have a run {}, but with other settings; give one a `name`",
            run.name()
        ),
    }
    Ok(())
}
