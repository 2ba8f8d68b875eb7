//! Scores of a model's parts, kept on disk so that one scoring serves all runs.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_files::Fingerprint;
use fpt_partial::{Needs, Scorer, Scores};
use fpt_tasks::{EvalBatches, PadTo, TaskName, TokenBatch, TokenizedExample};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::{Precision, TrainError, batch_tensors};

/// Part of every key: what is scored, and how, in this version of the program.
const VERSION: &str = "fpt scores 2";

/// A file of scores.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoreFile {
    /// SHA-256 of the model's configuration and weights.
    model: String,
    task: TaskName,
    /// Examples scored.
    examples: usize,
    scores: Scores,
}

/// The scores that `needs` asks for: read from the file that the configuration names, or else from `directory`,
/// or else measured on `sample` and written there. `model` is the fingerprint of the model.
pub(super) fn scores(
    session: &Session,
    needs: Needs,
    sample: &[&TokenizedExample],
    model: &str,
    directory: &Path,
) -> Result<Option<Scores>, TrainError> {
    if needs == Needs::Nothing {
        return Ok(None);
    }
    let config = &session.config;
    if let Some(path) = &config.selection.scores {
        let text = fs::read_to_string(path).map_err(|error| unusable(path, error.to_string()))?;
        let file = parse(path, &text)?;
        if file.model != model {
            return Err(unusable(
                path,
                format!(
                    "they are of another model than {}; leave out `selection.scores` to score it anew",
                    config.model.display()
                ),
            ));
        }
        file.scores.check(session.model.config())?;
        return Ok(Some(file.scores));
    }
    let gradients = needs == Needs::Gradients;
    let key = key(session, model, sample, gradients)?;
    let path = directory.join(format!("{}-{}.json", config.task, &key[..16]));
    if let Ok(text) = fs::read_to_string(&path) {
        return parse(&path, &text).map(|file| Some(file.scores));
    }
    let scores = measure(session, sample, gradients)?;
    let file = ScoreFile {
        model: model.to_string(),
        task: config.task.clone(),
        examples: sample.len(),
        scores,
    };
    write(&path, &file)?;
    Ok(Some(file.scores))
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
) -> Result<String, TrainError> {
    let config = &session.config;
    let mut hash = Fingerprint::new();
    hash.bytes(VERSION.as_bytes()).bytes(model.as_bytes());
    hash.bytes(&[u8::from(gradients), u8::from(config.selection.score.prompt)]);
    hash.number(config.selection.score.batch_size as u64);
    match config.precision {
        // Nothing: scores in f32 that were kept before there was another precision are still found.
        Precision::F32 => {}
        Precision::Bf16 => {
            hash.bytes(b"bf16");
        }
    }
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
    Ok(hash.hex())
}

fn parse(path: &Path, text: &str) -> Result<ScoreFile, TrainError> {
    serde_json::from_str(text)
        .map_err(|error| unusable(path, format!("the file is damaged ({error}); remove it")))
}

fn write(path: &Path, file: &ScoreFile) -> Result<(), TrainError> {
    let text =
        serde_json::to_string(file).map_err(|error| TrainError::output(path, error.into()))?;
    fpt_files::create_parents(path)?;
    Ok(fpt_files::write(path, text)?)
}

fn unusable(path: &Path, reason: String) -> TrainError {
    TrainError::Scores {
        path: PathBuf::from(path),
        reason,
    }
}
