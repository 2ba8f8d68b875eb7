//! Scores of a model's parts, kept on disk so that one scoring serves all runs.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_partial::{Needs, Scorer, Scores};
use fpt_t5::{prepend_visible, weight_files};
use fpt_tasks::{EvalBatches, PadTo, TaskName, TokenBatch, TokenizedExample};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Session, TrainError, batch_tensors, cache};

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
/// or else measured on `sample` and written there.
pub(crate) fn scores(
    session: &Session,
    needs: Needs,
    sample: &[&TokenizedExample],
    directory: &Path,
) -> Result<Option<Scores>, TrainError> {
    if needs == Needs::Nothing {
        return Ok(None);
    }
    let config = &session.config;
    let model = fingerprint(&session.directory)?;
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
    let key = key(session, &model, sample, gradients)?;
    let path = directory.join(format!("{}-{}.json", config.task, &key[..16]));
    if let Ok(text) = fs::read_to_string(&path) {
        return parse(&path, &text).map(|file| Some(file.scores));
    }
    let scores = measure(session, sample, gradients)?;
    let file = ScoreFile {
        model,
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
    let prompt = match config.selection.score.prompt {
        true => Some(session.score_prompt(&device)?),
        false => None,
    };
    let sample: Vec<TokenizedExample> = sample.iter().map(|&e| e.clone()).collect();
    let lengths: Vec<usize> = sample.iter().map(|e| e.source.len()).collect();
    let mut scorer = Scorer::new(&session.model, gradients);
    for indices in EvalBatches::new(&lengths, config.selection.score.batch_size)?.iter() {
        let batch = TokenBatch::new(&sample, indices, PadTo::Multiple(1));
        let (source, mask, labels) = batch_tensors(&batch, &device);
        let embeddings = session.model.embed(source);
        match &prompt {
            Some(prompt) => {
                let [length, _] = prompt.shape();
                scorer.add(
                    prompt.prepend(embeddings),
                    prepend_visible(mask, length),
                    labels,
                );
            }
            None => scorer.add(embeddings, mask, labels),
        }
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
    let mut hash = Sha256::new();
    hash.update(VERSION);
    hash.update(model);
    hash.update([u8::from(gradients), u8::from(config.selection.score.prompt)]);
    hash.update((config.selection.score.batch_size as u64).to_le_bytes());
    if config.selection.score.prompt {
        for value in session.score_prompt(&session.model.device())?.values() {
            hash.update(value.to_le_bytes());
        }
    }
    for example in sample {
        for ids in [&example.source, &example.target] {
            hash.update((ids.len() as u64).to_le_bytes());
            for id in ids {
                hash.update(id.to_le_bytes());
            }
        }
    }
    Ok(cache::hex(hash))
}

/// SHA-256 of a model's configuration and weights.
fn fingerprint(directory: &Path) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    let mut files = vec![directory.join("config.json")];
    files.extend(weight_files(directory)?);
    for path in files {
        cache::add_file(&mut hash, &path).map_err(|error| unusable(&path, error.to_string()))?;
    }
    Ok(cache::hex(hash))
}

fn parse(path: &Path, text: &str) -> Result<ScoreFile, TrainError> {
    serde_json::from_str(text)
        .map_err(|error| unusable(path, format!("the file is damaged ({error}); remove it")))
}

fn write(path: &Path, file: &ScoreFile) -> Result<(), TrainError> {
    let text = serde_json::to_string(file).map_err(|error| TrainError::Output {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    cache::write(path, text.as_bytes())
}

fn unusable(path: &Path, reason: String) -> TrainError {
    TrainError::Scores {
        path: PathBuf::from(path),
        reason,
    }
}
