//! Candidates: schedules that are drawn, and what the cost model says of them.

use anyhow::ensure;
use fpt_files::Fingerprint;
use fpt_schedule::cost::{BatchShape, true_share};
use fpt_schedule::{Amount, ModelShape, Reduce, ScheduleConfig, Share, StageConfig};
use fpt_train::Experiment;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::spec::{Space, Spec};

/// A schedule that is tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Candidate {
    /// What its runs are called: it follows from the settings.
    pub(super) name: String,
    /// Its settings, `key=value` each.
    pub(super) settings: Vec<String>,
    /// What the cost model predicts of its FLOPs, as a share of prompt tuning's.
    pub(super) predicted: f64,
}

/// So many draws in vain for one that is cheap and dear enough show that there is none.
const DRAWS: usize = 1000;

/// The candidates of a search, no two alike. The first ones stay the same if there are to be more.
pub(super) fn candidates(
    spec: &Spec,
    experiment: &Experiment,
    shape: &ModelShape,
) -> anyhow::Result<Vec<Candidate>> {
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
    let mut found: Vec<Candidate> = Vec::new();
    let mut in_vain = 0;
    while found.len() < spec.candidates {
        ensure!(
            in_vain < DRAWS,
            "only {} candidates are within `flops_at_least` and `flops_at_most`; widen these or [space]",
            found.len()
        );
        in_vain += 1;
        let Some(candidate) = draw(spec, experiment, shape, &mut rng) else {
            continue;
        };
        let fits = (spec.flops_at_least..=spec.flops_at_most).contains(&candidate.predicted);
        if fits && found.iter().all(|other| other.name != candidate.name) {
            found.push(candidate);
            in_vain = 0;
        }
    }
    Ok(found)
}

/// A candidate; `None` if what is drawn is no schedule, as of stages without a step.
fn draw(
    spec: &Spec,
    experiment: &Experiment,
    shape: &ModelShape,
    rng: &mut impl Rng,
) -> Option<Candidate> {
    let (space, steps) = (&spec.space, experiment.train.steps);
    let all = space.steps.choose(rng)?.of(steps);
    let stages = stages(space, all, rng)?;
    let extra = space.settings.choose(rng)?;
    let listed: Vec<String> = stages.iter().map(written).collect();
    let mut settings = vec![
        format!("train.steps={all}"),
        format!("schedule.stages=[{}]", listed.join(", ")),
    ];
    settings.extend(extra.iter().cloned());
    let name = format!(
        "c{}",
        &Fingerprint::new().text(&settings.join("\n")).hex()[..8]
    );
    settings.push(format!("schedule.name=\"{name}\""));
    let config = ScheduleConfig {
        stages,
        ..ScheduleConfig::default()
    };
    let [source, target] = spec.lengths;
    let batch = BatchShape {
        rows: experiment.train.batch_size,
        source,
        target,
        prompt: experiment.prompt.length,
    };
    // Tasks differ in what they reduce: the mean of both.
    let both = [Reduce::Encoder, Reduce::Both].map(|reduce| {
        let schedule = config.resolve(shape, all, reduce).ok()?;
        Some(true_share(shape, &schedule, &batch))
    });
    let [encoder, both] = both;
    let share = (encoder? + both?) / 2.0;
    Some(Candidate {
        name,
        settings,
        predicted: share * all as f64 / steps as f64,
    })
}

/// Partial stages and the full one, which takes the rest of the steps.
fn stages(space: &Space, steps: usize, rng: &mut impl Rng) -> Option<Vec<StageConfig>> {
    let count = *space.stages.choose(rng)?;
    let partial = space.partial.choose(rng)?.of(steps);
    let depth = rising(&space.depth, count, rng)?;
    let width = rising(&space.width, count, rng)?;
    let heads = rising(&space.heads, count, rng)?;
    let batch = rising(&space.batch, count + 1, rng)?;
    let max_source = Some(*space.max_source.choose(rng)?).filter(|&tokens| tokens > 0);
    let size = |share| unless_whole(share).map(Amount::Share);
    let mut stages = Vec::new();
    for stage in 0..count {
        let (from, to) = (partial * stage / count, partial * (stage + 1) / count);
        if from == to {
            return None;
        }
        stages.push(StageConfig {
            steps: Some(Amount::Count(to - from)),
            batch: unless_whole(batch[stage]),
            max_source,
            layers: size(depth[stage]),
            d_ff: size(width[stage]),
            heads: size(heads[stage]),
            ..StageConfig::default()
        });
    }
    stages.push(StageConfig {
        batch: unless_whole(batch[count]),
        ..StageConfig::default()
    });
    Some(stages)
}

/// So many of the choices, the smallest first.
fn rising(choices: &[Share], count: usize, rng: &mut impl Rng) -> Option<Vec<Share>> {
    let drawn = (0..count).map(|_| choices.choose(rng).copied());
    let mut drawn = drawn.collect::<Option<Vec<_>>>()?;
    drawn.sort();
    Some(drawn)
}

fn unless_whole(share: Share) -> Option<Share> {
    (share != Share::ALL).then_some(share)
}

/// A stage as an inline table of TOML.
fn written(stage: &StageConfig) -> String {
    let amount = |key: &str, amount: Option<Amount>| match amount {
        Some(Amount::Count(count)) => Some(format!("{key} = {count}")),
        Some(Amount::Share(share)) => Some(format!("{key} = \"{share}\"")),
        None => None,
    };
    let keys = [
        amount("steps", stage.steps),
        amount("batch", stage.batch.map(Amount::Share)),
        amount("max_source", stage.max_source.map(Amount::Count)),
        amount("layers", stage.layers),
        amount("d_ff", stage.d_ff),
        amount("heads", stage.heads),
    ];
    let keys: Vec<String> = keys.into_iter().flatten().collect();
    format!("{{ {} }}", keys.join(", "))
}
