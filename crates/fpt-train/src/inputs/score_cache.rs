//! Scores of a model's parts, kept on disk so that one scoring serves all runs.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_files::{Fingerprint, SealedFormat};
use fpt_partial::{Needs, Scorer, Scores};
use fpt_t5::T5Config;
use fpt_tasks::{EvalBatches, PadTo, TaskName, TokenBatch, TokenizedExample};
use serde::{Deserialize, Serialize};

use super::Session;
use super::cache::{self, Cache};
use super::turn::Turn;
use crate::record::Log;
use crate::{TrainError, batch_tensors};

/// The format of the files, and part of every key: what is scored, and how, in this version of the program.
const FORMAT: SealedFormat = SealedFormat {
    kind: "fpt-scores",
    version: 4,
    oldest: 4,
};

/// What is in a file of scores, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// SHA-256 of the model's configuration and weights.
    model: String,
    task: TaskName,
    /// Examples scored.
    examples: usize,
    scores: Scores,
}

/// The scores that `needs` asks for: read from the file that the configuration names, or else from `cache`, or else
/// measured on `sample` and kept there, by one process at a time. `model` is the fingerprint of the model.
pub(super) fn scores(
    session: &Session,
    needs: Needs,
    sample: &[&TokenizedExample],
    model: &str,
    cache: &mut Cache,
    log: &mut Log<'_>,
) -> Result<Option<Scores>, TrainError> {
    if needs == Needs::Nothing {
        return Ok(None);
    }
    let config = &session.config;
    if let Some(path) = &config.selection.scores {
        return named(session, path, model).map(Some);
    }
    let gradients = needs == Needs::Gradients;
    let key = key(session, model, sample, gradients)?;
    let name = cache::name(config.task.as_str(), &key, "fpt");
    let parse = |bytes: &[u8]| read(bytes, session.model.config());
    let turn = cache.turn(&name, FORMAT, &parse, &mut |waiting| {
        log.wait("the scores of the model's parts", waiting)
    });
    let _making = match turn? {
        Turn::Found(scores) => return Ok(Some(scores)),
        Turn::Make(making) => making,
    };
    let content = Content {
        model: model.to_string(),
        task: config.task.clone(),
        examples: sample.len(),
        scores: measure(session, sample, gradients)?,
    };
    cache.keep(&name, FORMAT, serde_json::to_vec(&content));
    Ok(Some(content.scores))
}

/// The scores in the file that the user names.
fn named(session: &Session, path: &Path, model: &str) -> Result<Scores, TrainError> {
    let bytes = fs::read(path).map_err(|error| unusable(path, error.to_string()))?;
    let content = FORMAT.read(&bytes).and_then(parse).map_err(|reason| {
        let way_out = "leave out `selection.scores` to score the model anew";
        unusable(path, format!("the file is damaged ({reason}); {way_out}"))
    })?;
    if content.model != model {
        return Err(unusable(
            path,
            format!(
                "they are of another model than {}; leave out `selection.scores` to score it anew",
                session.config.model.display()
            ),
        ));
    }
    content.scores.check(session.model.config())?;
    Ok(content.scores)
}

/// Score the full model on `sample`, with an untrained prompt if the configuration wants one.
fn measure(
    session: &Session,
    sample: &[&TokenizedExample],
    gradients: bool,
) -> Result<Scores, TrainError> {
    let config = &session.config;
    let device = session.model.device();
    let prompt = if config.selection.score.prompt {
        Some(session.score_prompt(&device)?)
    } else {
        None
    };
    let sample: Vec<TokenizedExample> = sample.iter().map(|&e| e.clone()).collect();
    let lengths: Vec<usize> = sample.iter().map(|e| e.source.len()).collect();
    let mut scorer = Scorer::new(&session.model, gradients);
    for indices in EvalBatches::new(&lengths, config.selection.score.batch_size)?.iter() {
        let batch = TokenBatch::new(&sample, indices, PadTo::Multiple(1));
        let prefix = prompt.as_ref().map(|prompt| prompt.weight.val());
        scorer.add(prefix, &batch_tensors(&batch, &device));
    }
    Ok(scorer.finish()?)
}

/// What the scores depend on.
fn key(
    session: &Session,
    model: &str,
    sample: &[&TokenizedExample],
    gradients: bool,
) -> Result<Fingerprint, TrainError> {
    let config = &session.config;
    let mut hash = Fingerprint::new();
    hash.text(FORMAT.kind).number(FORMAT.version.into());
    hash.bytes(model.as_bytes());
    hash.bytes(&[u8::from(gradients), u8::from(config.selection.score.prompt)]);
    hash.number(config.selection.score.batch_size as u64);
    hash.text(config.precision.name());
    if config.selection.score.prompt {
        for value in session.score_prompt(&session.model.device())?.values() {
            hash.bytes(&value.to_le_bytes());
        }
    }
    for example in sample {
        for ids in [&example.source, &example.target] {
            hash.number(ids.len() as u64);
            for id in ids {
                hash.bytes(&id.to_le_bytes());
            }
        }
    }
    Ok(hash)
}

/// The scores of a file, of a model with this configuration.
pub(super) fn read(bytes: &[u8], config: &T5Config) -> Result<Scores, String> {
    let scores = parse(bytes)?.scores;
    scores.check(config).map_err(|error| error.to_string())?;
    Ok(scores)
}

fn parse(bytes: &[u8]) -> Result<Content, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn unusable(path: &Path, reason: String) -> TrainError {
    TrainError::Scores {
        path: PathBuf::from(path),
        reason,
    }
}
