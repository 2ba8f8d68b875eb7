//! Whether prompts of one model serve another: similarity and transfer of the prompts of finished runs.

use std::collections::HashSet;
use std::path::PathBuf;

use burn::tensor::Device;
use fpt_partial::{Selection, partial};
use fpt_prompt::{Activations, Similarity, SoftPrompt, load_adapter, similarity};
use fpt_t5::T5;
use fpt_tasks::{Split, TaskName, Tasks};
use serde::{Deserialize, Serialize};

use crate::inputs::{content_of_examples, content_of_model};
use crate::{FindModel, Fingerprints, FinishedRun, Session, TrainError};

/// How alike the prompts of runs are, pair by pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarityReport {
    /// Their task; `None` if they have several.
    pub task: Option<TaskName>,
    /// Directories of the runs.
    pub runs: Vec<PathBuf>,
    /// Name of each run: its schedule, and whatever else tells the runs apart.
    pub names: Vec<String>,
    /// Row by row.
    pub pairs: Vec<Vec<Similarity>>,
}

/// What the prompts of runs score with the models of others, unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferReport {
    /// Their task.
    pub task: TaskName,
    /// Metric of the scores.
    pub metric: String,
    /// Dev examples that each score is of.
    pub examples: usize,
    /// Directories of the runs.
    pub runs: Vec<PathBuf>,
    /// Name of each prompt, a row each.
    pub prompts: Vec<String>,
    /// Name of each model, a column each.
    pub models: Vec<String>,
    /// Percent.
    pub scores: Vec<Vec<f64>>,
}

/// The prompts of `runs`, compared with each other; the neurons are those of the runs' full model.
///
/// # Errors
/// [`TrainError`] if a run's files can't be read, or the runs are not of one model; [`TrainError::Replaced`] if that is
/// another one now.
pub fn similarities(
    runs: &[FinishedRun],
    tasks: &Tasks,
    find: FindModel,
    device: &Device,
) -> Result<SimilarityReport, TrainError> {
    let session = session(runs, tasks, find, device)?;
    let prompts = prompts(runs, &session)?;
    let activations: Vec<Activations> = prompts
        .iter()
        .map(|prompt| Activations::of(prompt, &session.model))
        .collect();
    let compare = |a: usize, b: usize| {
        similarity(
            [&prompts[a], &prompts[b]],
            [&activations[a], &activations[b]],
        )
    };
    let pairs = (0..runs.len())
        .map(|a| (0..runs.len()).map(|b| compare(a, b)).collect())
        .collect::<Result<_, _>>()?;
    let task = session.config.task.clone();
    Ok(SimilarityReport {
        task: runs
            .iter()
            .all(|run| run.config.task == task)
            .then_some(task),
        runs: directories(runs),
        names: names(runs),
        pairs,
    })
}

/// The prompt of each of `runs`, unchanged, with the model that each of them ended with: the partial model of a run
/// on one, else the full model. On the first `examples` of dev.
///
/// # Errors
/// [`TrainError`] if a run's files can't be read, or the runs are not of one model and task; [`TrainError::Replaced`] if
/// model or dev examples are others now.
pub fn transfers(
    runs: &[FinishedRun],
    examples: usize,
    tasks: &Tasks,
    find: FindModel,
    device: &Device,
    on_cell: &mut dyn FnMut(),
) -> Result<TransferReport, TrainError> {
    let session = session(runs, tasks, find, device)?;
    let task = session.config.task.clone();
    if let Some(other) = runs.iter().find(|run| run.config.task != task) {
        return Err(TrainError::Value {
            key: "task",
            reason: format!(
                "is {task} in the first run, but {} in {}; compare runs of one task",
                other.config.task,
                other.directory.display()
            ),
        });
    }
    let dev = session.read(Split::Dev)?;
    let content = content_of_examples(dev.examples());
    check_inputs(runs, |inputs| {
        let same = inputs.splits.get(&Split::Dev) == Some(&content);
        (!same).then_some("the dev split has another content")
    })?;
    let prompts = prompts(runs, &session)?;
    let names = names(runs);
    // Runs that end with the full model end with one model, whatever the schedule.
    let mut models: Vec<(String, Selection, T5)> = Vec::new();
    for (run, name) in runs.iter().zip(&names) {
        let selections = run.selections()?;
        let Some(last) = selections.last() else {
            continue;
        };
        if models.iter().any(|(_, known, _)| known == last) {
            continue;
        }
        let name = if last.is_full(session.model.config()) {
            "full model".to_string()
        } else {
            name.clone()
        };
        models.push((name, last.clone(), partial(&session.model, last)?));
    }
    let mut metric = String::new();
    let mut scores = Vec::new();
    for prompt in &prompts {
        let mut row = Vec::new();
        for (_, _, model) in &models {
            let (score, _) =
                session.evaluate(model, Some(prompt), &dev, examples, &mut |_| Ok(()))?;
            row.push(score.primary_value());
            metric = score.primary;
            on_cell();
        }
        scores.push(row);
    }
    Ok(TransferReport {
        task,
        metric,
        examples: examples.min(dev.tokens.len()),
        runs: directories(runs),
        prompts: names,
        models: models.into_iter().map(|(name, ..)| name).collect(),
        scores,
    })
}

/// Model and data of the first run, which the others must share.
fn session(
    runs: &[FinishedRun],
    tasks: &Tasks,
    find: FindModel,
    device: &Device,
) -> Result<Session, TrainError> {
    let first = runs.first().ok_or_else(|| TrainError::Value {
        key: "runs",
        reason: "are none; name at least one run directory".into(),
    })?;
    if let Some(other) = runs
        .iter()
        .find(|run| run.config.model != first.config.model)
    {
        return Err(TrainError::Value {
            key: "model",
            reason: format!(
                "is {} in {}, but {} in {}; compare runs of one model",
                first.config.model.display(),
                first.directory.display(),
                other.config.model.display(),
                other.directory.display()
            ),
        });
    }
    let session = Session::load(&first.config, tasks, find, device)?;
    let content = content_of_model(&session)?;
    check_inputs(runs, |inputs| {
        let same = inputs.model == content.model && inputs.tokenizer == content.tokenizer;
        (!same)
            .then_some("the model's weights, its config.json or the tokenizer have another content")
    })?;
    Ok(session)
}

/// That the runs read what is there now, as `difference` finds: their prompts are compared by it.
fn check_inputs(
    runs: &[FinishedRun],
    difference: impl Fn(&Fingerprints) -> Option<&'static str>,
) -> Result<(), TrainError> {
    for run in runs {
        if let Some(difference) = difference(&run.inputs()?) {
            return Err(TrainError::Replaced {
                path: run.directory.clone(),
                difference,
            });
        }
    }
    Ok(())
}

fn prompts(runs: &[FinishedRun], session: &Session) -> Result<Vec<SoftPrompt>, TrainError> {
    let d_model = session.model.config().d_model;
    let device = session.model.device();
    let load = |run: &FinishedRun| load_adapter(run.directory.join("adapter"), d_model, &device);
    Ok(runs.iter().map(load).collect::<Result<_, _>>()?)
}

fn directories(runs: &[FinishedRun]) -> Vec<PathBuf> {
    runs.iter().map(|run| run.directory.clone()).collect()
}

/// What tells the runs apart: schedule, task where tasks differ, seed where seeds differ, else the directory.
fn names(runs: &[FinishedRun]) -> Vec<String> {
    let several = |differs: fn(&FinishedRun, &FinishedRun) -> bool| {
        runs.first()
            .is_some_and(|first| runs.iter().any(|run| differs(first, run)))
    };
    let tasks = several(|a, b| a.config.task != b.config.task);
    let seeds = several(|a, b| a.config.seed != b.config.seed);
    let name = |run: &FinishedRun| {
        let mut name = run.config.schedule.label();
        if tasks {
            name = format!("{} {name}", run.config.task);
        }
        if seeds {
            name = format!("{name} s{}", run.config.seed);
        }
        name
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    let distinct: HashSet<&String> = names.iter().collect();
    if distinct.len() == names.len() {
        return names;
    }
    let directories = runs.iter().map(|run| run.directory.display().to_string());
    directories.collect()
}
