//! What stays of the model in each stage.

use fpt_partial::{Needs, Selection};
use fpt_tasks::{Split, TokenizedExample};

use super::cache::Cache;
use super::{Session, SplitData, score_cache};
use crate::record::Log;
use crate::{Plan, TrainError};

/// What stays of the model in each stage of `plan`. Scores that are needed are looked for in `cache`, and kept there;
/// `model` is the fingerprint of the model that they are of. The log hears of another process that is measuring them.
///
/// # Errors
/// [`TrainError`] if the model can't be scored, or the run is to stop.
pub(super) fn of(
    session: &Session,
    plan: &Plan,
    [train, dev]: [&SplitData; 2],
    model: &str,
    cache: &mut Cache,
    log: &mut Log<'_>,
) -> Result<Vec<Selection>, TrainError> {
    let config = &session.config.selection;
    let full = session.model.config();
    let needs = plan
        .stages
        .iter()
        .map(|stage| config.rules.needs(&stage.size, full));
    let needs = needs.max().unwrap_or(Needs::Nothing);
    let data = match config.score.split {
        Split::Train => train,
        Split::Dev => dev,
        Split::Test => {
            return Err(TrainError::Value {
                key: "selection.score.split",
                reason: "is test, whose answers must not be looked at; take train or dev".into(),
            });
        }
    };
    let sample = sample(&data.tokens, config.score.examples);
    let scores = score_cache::scores(session, needs, &sample, model, cache, log)?;
    let seed = session.config.seed;
    let select = |size| config.rules.select(size, full, scores.as_ref(), seed);
    let selections = plan.stages.iter().map(|stage| select(&stage.size));
    Ok(selections.collect::<Result<_, _>>()?)
}

/// At most `count` examples, spread evenly.
fn sample(tokens: &[TokenizedExample], count: usize) -> Vec<&TokenizedExample> {
    let count = count.min(tokens.len());
    (0..count)
        .map(|i| &tokens[i * tokens.len() / count])
        .collect()
}
