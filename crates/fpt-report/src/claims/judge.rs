//! What runs say to a claim.

use fpt_tasks::TaskName;

use super::{Claim, Finding, Seed, StartClaim, Verdict};
use crate::ReportError;
use crate::results::{Run, improve};
use crate::stats::{LEVEL, PairedTest, mean};

/// The runs of a claim.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// One for each seed and task.
    pub pairs: Vec<Pair>,
}

/// The two runs of a seed on a task.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Of what the claim is about.
    pub ours: Run,
    /// Of what it is compared with.
    pub theirs: Run,
    /// Where the claim is about a start: trainings on the full model from the prompt of `ours`, and from a fresh one.
    pub starts: Option<[Run; 2]>,
}

/// So many times its steps count for a training that does not reach its aim.
const NEVER: usize = 2;

impl Claim {
    /// The verdict of runs on all `tasks` with all seeds of this claim.
    ///
    /// # Errors
    /// [`ReportError::Evidence`] if a pair is missing or lacks what is to be measured, and where runs that are compared
    /// have not read the same.
    pub fn judge(&self, tasks: &[TaskName], evidence: &Evidence) -> Result<Verdict, ReportError> {
        Run::check_inputs(evidence.runs())?;
        let seeds = self.seeds.iter();
        let seeds = seeds.map(|&seed| self.seed(seed, tasks, evidence));
        let seeds = seeds.collect::<Result<Vec<_>, _>>()?;
        let mut findings = Vec::new();
        let each = |value: &dyn Fn(&Seed) -> f64| -> Vec<f64> { seeds.iter().map(value).collect() };
        let ratio = |ours: &dyn Fn(&Seed) -> f64, theirs: &dyn Fn(&Seed) -> f64| {
            mean(&each(ours)) / mean(&each(theirs))
        };
        if let Some(share) = self.score_at_least {
            let found = ratio(&|seed| seed.ours, &|seed| seed.theirs);
            findings.push(Finding {
                what: "average score, share".into(),
                found,
                wanted: format!("≥ {share}"),
                margin: Some(PairedTest::of(&each(&|seed| {
                    seed.ours - share * seed.theirs
                }))),
                unit: "points",
                holds: found >= share,
            });
        }
        if let Some(share) = self.flops_at_most {
            let found = mean(&each(&|seed| seed.flops_share));
            findings.push(Finding {
                what: "training FLOPs, share".into(),
                found,
                wanted: format!("≤ {share}"),
                margin: None,
                unit: "",
                holds: found <= share,
            });
        }
        if let Some(above) = self.improve_above {
            let gains = each(&|seed| seed.improve.unwrap_or(f64::NAN) - above);
            let test = PairedTest::of(&gains);
            let found = test.mean + above;
            findings.push(Finding {
                what: "Improve at equal FLOPs, points".into(),
                found,
                wanted: format!("> {above}, p < {LEVEL}"),
                holds: found > above && test.is_significant(),
                margin: Some(test),
                unit: "points",
            });
        }
        if let Some(start) = &self.start {
            let share = start.steps_at_most;
            let steps = |seed: &Seed| seed.start_steps.unwrap_or([f64::NAN; 2]);
            let found = ratio(&|seed| steps(seed)[0], &|seed| steps(seed)[1]);
            let saved = each(&|seed| share * steps(seed)[1] - steps(seed)[0]);
            findings.push(Finding {
                what: format!(
                    "steps to {} of the final dev score, share of a fresh prompt's",
                    start.reach
                ),
                found,
                wanted: format!("≤ {share}"),
                margin: Some(PairedTest::of(&saved)),
                unit: "steps",
                holds: found <= share,
            });
        }
        Ok(Verdict { findings, seeds })
    }

    /// The means over the tasks of one seed.
    fn seed(
        &self,
        seed: u64,
        tasks: &[TaskName],
        evidence: &Evidence,
    ) -> Result<Seed, ReportError> {
        let pair_of = |task: &TaskName| {
            let found = evidence.pairs.iter().find(|pair| {
                [&pair.ours, &pair.theirs]
                    .into_iter()
                    .all(|run| run.seed() == seed && run.task() == task)
            });
            found.ok_or_else(|| ReportError::Evidence {
                reason: format!("there is no pair of runs of {task} with seed {seed}"),
            })
        };
        let pairs = tasks.iter().map(pair_of).collect::<Result<Vec<_>, _>>()?;
        let over_tasks = |value: &dyn Fn(&Pair) -> f64| {
            let values: Vec<f64> = pairs.iter().map(|pair| value(pair)).collect();
            mean(&values)
        };
        let score = |run: &Run| run.finished.result.reported.primary_value();
        let gain = match self.improve_above {
            Some(_) => {
                let gains = pairs.iter().map(|pair| gain(pair));
                let gains = gains.collect::<Result<Vec<_>, _>>()?;
                Some(mean(&gains))
            }
            None => None,
        };
        let start_steps = match &self.start {
            Some(start) => {
                let steps = pairs.iter().map(|pair| start_steps(start, pair));
                let steps = steps.collect::<Result<Vec<_>, _>>()?;
                Some([0, 1].map(|which| mean(&steps.iter().map(|s| s[which]).collect::<Vec<_>>())))
            }
            None => None,
        };
        Ok(Seed {
            seed,
            ours: over_tasks(&|pair| score(&pair.ours)),
            theirs: over_tasks(&|pair| score(&pair.theirs)),
            flops_share: over_tasks(&|pair| {
                pair.ours.finished.result.flops / pair.theirs.finished.result.flops
            }),
            improve: gain,
            start_steps,
        })
    }
}

/// What a run gains over the other stopped at the same FLOPs.
fn gain(pair: &Pair) -> Result<f64, ReportError> {
    improve(&pair.ours, &pair.theirs).ok_or_else(|| ReportError::Evidence {
        reason: format!(
            "{} has no reported scores on the way; let it be a reference (eval.reference=true)",
            pair.theirs.finished.directory.display()
        ),
    })
}

/// Steps that the starts of a pair take to reach what the claim wants: from the prompt of `ours`, and from a fresh one.
fn start_steps(claim: &StartClaim, pair: &Pair) -> Result<[f64; 2], ReportError> {
    let starts = pair.starts.as_ref().ok_or_else(|| ReportError::Evidence {
        reason: format!(
            "no training starts from the prompt of {}",
            pair.ours.finished.directory.display()
        ),
    })?;
    let wanted = claim.reach * pair.theirs.best_on_the_way();
    Ok(starts.each_ref().map(|run| {
        let never = NEVER * run.finished.result.steps;
        run.steps_to(wanted).unwrap_or(never) as f64
    }))
}
