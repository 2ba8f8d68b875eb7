//! `cargo xtask search`: schedules found by trying them.

mod draw;
mod spec;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fpt::grid::{Executor, Ground, Planned, RunArgs, find_finished, open};
use fpt::{model, terminal};
use fpt_partial::shape;
use fpt_report::{Frontier, FrontierPoint, MarkdownTable};
use fpt_schedule::Method;
use fpt_tasks::TaskName;
use fpt_train::{Experiment, RunResult};
use serde::Serialize;

use self::draw::{Candidate, candidates};
use self::spec::Spec;
use crate::shell;

/// Find schedules that cost little and score much.
///
/// Schedules are drawn that the cost model says are cheap enough, and tried by successive halving: all on a few pairs of
/// task and seed, the best of them on more. Scores are of the dev split, as shares of prompt tuning's with the same task and
/// seed; the test split is not looked at. What is found is to be confirmed on other seeds and the test split, by
/// `cargo xtask records`. A search that was interrupted goes on where it stopped, as `reproduce` does. The page of what was
/// tried goes to the directory of the runs: index.html, search.json.
#[derive(ClapArgs)]
pub struct Args {
    /// What is searched.
    #[arg(default_value = "configs/search-mini.toml")]
    spec: PathBuf,

    /// Directory of the runs; by default named after the search, in runs/.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Print what was found as JSON instead of a table.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    run: RunArgs,
}

/// A candidate and what has come of it.
#[derive(Clone, Debug, Serialize)]
struct Tried {
    #[serde(flatten)]
    candidate: Candidate,
    /// Dev score, as a share of prompt tuning's on the same pairs.
    score: f64,
    /// FLOPs, as a share of prompt tuning's.
    flops: f64,
    /// Pairs of task and seed.
    pairs: usize,
}

/// Search.
pub fn run(args: &Args) -> anyhow::Result<()> {
    args.run.listen()?;
    let spec = Spec::from_file(&args.spec)?;
    let experiment = Experiment::from_file(&spec.experiment)?;
    let shape = shape(&model::config(&experiment)?);
    let candidates = candidates(&spec, &experiment, &shape)?;
    let named = || PathBuf::from("runs").join(args.spec.file_stem().unwrap_or_default());
    let out = args.out.clone().unwrap_or_else(named);
    if args.run.show_status(&out, args.json)? {
        return Ok(());
    }
    let devices = args.run.devices()?;
    let _claim = open(&out, &experiment)?;
    let search = Search {
        spec: &spec,
        experiment: &experiment,
        out: &out,
        force_new: args.run.force_new,
    };
    let pairs = search.pairs();
    // Prompt tuning, of which the candidates are parts.
    let largest = pairs.iter().map(|pair| Ok(search.plan(None, pair)?.config));
    let largest = largest.collect::<anyhow::Result<Vec<_>>>()?;
    let ground = Ground {
        find: shell::build_among,
        experiment: &experiment,
        config: &spec.experiment,
        out: &out,
        devices,
        count: candidates.len() * spec.rungs[0],
        runs: &largest,
    };
    let tried = args
        .run
        .with_executor(&ground, |executor| search.halve(candidates, executor))?;
    search.publish(&tried, args)
}

struct Search<'a> {
    spec: &'a Spec,
    experiment: &'a Experiment,
    out: &'a Path,
    force_new: bool,
}

impl Search<'_> {
    /// The pairs of task and seed, in the order in which they are tried.
    fn pairs(&self) -> Vec<(TaskName, u64)> {
        let tasks = self.experiment.tasks_or_all(&self.spec.tasks);
        let of_seed = |&seed: &u64| tasks.iter().map(move |task| (task.clone(), seed));
        self.spec.seeds.iter().flat_map(of_seed).collect()
    }

    /// Try all on the pairs of the first rung, the best on those of the next, and so on. Each with how far it came.
    fn halve(
        &self,
        mut candidates: Vec<Candidate>,
        executor: &dyn Executor,
    ) -> anyhow::Result<Vec<Tried>> {
        let pairs = self.pairs();
        let mut all: Vec<Tried> = Vec::new();
        for (rung, &length) in self.spec.rungs.iter().enumerate() {
            let pairs = &pairs[..length.min(pairs.len())];
            terminal::note(&format!(
                "rung {}: {} candidates on {} pairs of task and seed",
                rung + 1,
                candidates.len(),
                pairs.len()
            ));
            let mut wanted = vec![None];
            wanted.extend(candidates.iter().map(Some));
            let results = self.results(&wanted, pairs, executor)?;
            let (plain, ours) = results.split_at(pairs.len());
            let ours = candidates.iter().zip(ours.chunks(pairs.len()));
            let mut tried: Vec<Tried> = ours
                .map(|(candidate, ours)| Tried::of(candidate, ours, plain))
                .collect();
            tried.sort_by(|a, b| b.score.total_cmp(&a.score));
            all.retain(|before| tried.iter().all(|now| now.candidate != before.candidate));
            let last = rung + 1 == self.spec.rungs.len();
            let affordable = tried
                .iter()
                .filter(|tried| tried.flops <= self.spec.flops_at_most);
            let kept = candidates.len().div_ceil(self.spec.keep);
            candidates = affordable
                .take(kept)
                .map(|tried| tried.candidate.clone())
                .collect();
            all.extend(tried);
            if last || candidates.is_empty() {
                break;
            }
        }
        all.sort_by(|a, b| b.pairs.cmp(&a.pairs).then(b.score.total_cmp(&a.score)));
        Ok(all)
    }

    /// What the runs of these candidates, or of prompt tuning, come to on these pairs: one after the other.
    fn results(
        &self,
        wanted: &[Option<&Candidate>],
        pairs: &[(TaskName, u64)],
        executor: &dyn Executor,
    ) -> anyhow::Result<Vec<RunResult>> {
        let plan = |candidate| pairs.iter().map(move |pair| self.plan(candidate, pair));
        let runs = wanted.iter().flat_map(|&candidate| plan(candidate));
        let mut runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
        let mut fingerprinter = model::fingerprinter();
        find_finished(&mut runs, &mut fingerprinter, self.force_new)?;
        let failures = executor.run_all(&runs)?;
        anyhow::ensure!(
            failures.is_empty(),
            "some runs failed, and the search can't go on without them; the same command tries them again\n{}",
            failures.join("\n")
        );
        find_finished(&mut runs, &mut fingerprinter, false)?;
        Ok(runs.into_iter().filter_map(|run| run.finished).collect())
    }

    /// The run of a candidate, or of prompt tuning.
    fn plan(
        &self,
        candidate: Option<&Candidate>,
        (task, seed): &(TaskName, u64),
    ) -> anyhow::Result<Planned> {
        let (name, method, mut settings) = match candidate {
            Some(candidate) => (candidate.name.as_str(), None, candidate.settings.clone()),
            None => ("pt", Some(Method::Pt), Vec::new()),
        };
        // Choices are made on dev: test is for what is found.
        settings.extend(["eval.report=\"dev\"".into(), "eval.reference=false".into()]);
        let directory = self.out.join(format!("{task}-{name}-s{seed}"));
        Planned::new(self.experiment, task, method, *seed, settings, directory)
    }

    /// Write the page and the list of what was tried, and print what is not beaten.
    fn publish(&self, tried: &[Tried], args: &Args) -> anyhow::Result<()> {
        let points = tried.iter().map(|tried| FrontierPoint {
            name: tried.candidate.name.clone(),
            flops: tried.flops,
            score: tried.score,
            pairs: tried.pairs,
            settings: tried.candidate.settings.join("  "),
        });
        let frontier = Frontier::new(points.collect());
        let json = serde_json::to_string_pretty(&tried)? + "\n";
        fpt_files::write(self.out.join("search.json"), &json)?;
        let page = self.out.join("index.html");
        fpt_files::write(&page, &frontier.page(self.spec.flops_at_most)?.to_html()?)?;
        if args.json {
            return terminal::print_line(json.trim_end());
        }
        let mut table = MarkdownTable::new(["schedule", "score", "FLOPs", "pairs", "settings"]);
        for point in frontier.unbeaten() {
            table.add_row([
                point.name.clone(),
                format!("{:.3}", point.score),
                format!("{:.3}", point.flops),
                point.pairs.to_string(),
                point.settings.clone(),
            ]);
        }
        terminal::print_line(&table.with_numbers_in(1..4).to_string())?;
        terminal::note(&format!("{} (also search.json)", page.display()));
        Ok(())
    }
}

impl Tried {
    fn of(candidate: &Candidate, ours: &[RunResult], plain: &[RunResult]) -> Self {
        let share = |value: &dyn Fn(&RunResult) -> f64| {
            let sum = |runs: &[RunResult]| runs.iter().map(value).sum::<f64>();
            sum(ours) / sum(plain)
        };
        let flops = ours
            .iter()
            .zip(plain)
            .map(|(ours, plain)| ours.flops / plain.flops);
        Self {
            candidate: candidate.clone(),
            score: share(&|result| result.dev.primary_value()),
            flops: flops.sum::<f64>() / ours.len().max(1) as f64,
            pairs: ours.len(),
        }
    }
}
