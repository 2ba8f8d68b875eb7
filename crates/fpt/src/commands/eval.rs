//! `fpt eval`: scores of a prompt, or of the bare model.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fpt::{DeviceName, data, model, terminal};
use fpt_tasks::{Example, Scores, Split, Task, TaskName, write_submission};
use fpt_train::Session;
use serde::Serialize;

use super::fitting::Fitting;
use super::{RunArgs, adapter, memory, numbers, print_json, print_line};

/// Score a prompt, or the bare model, on a split of a task by greedy decoding.
///
/// Example: fpt eval --config configs/mini.toml --task mnli --adapter runs/mnli/adapter
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Directory of a PEFT prompt-tuning adapter, or a .npy file of prompt vectors; without it the model gets no
    /// prompt.
    #[arg(long, value_name = "DIR|FILE")]
    adapter: Option<PathBuf>,

    /// Split: train, dev or test.
    #[arg(long, default_value = "test")]
    split: Split,

    /// Write the answers in the format of the task's leaderboard (GLUE, SuperGLUE, SQuAD; XSum: one a line). Of a split
    /// without answers, such as the test files of the leaderboards, nothing else comes out. In a directory the file
    /// gets the name that the leaderboard expects.
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "limit")]
    submission: Option<PathBuf>,

    /// Only the first so many examples.
    #[arg(long, value_name = "N", value_parser = numbers::at_least_one)]
    limit: Option<usize>,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// Print the scores as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    task: TaskName,
    split: Split,
    examples: usize,
    scores: Scores,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let devices = args.device.open_one()?;
    let device = devices.primary().clone();
    let (experiment, config) = args.run.resolve()?;
    let experiment = (&experiment, &*args.run.config);
    data::require(&config, &[args.split], Some(experiment))?;
    let session = Session::load(&config, model::find, &device)?;
    let prompt = adapter(
        args.adapter.as_deref(),
        session.model.config().d_model,
        &device,
    )?;
    let data = session.read(args.split)?;
    let warnings = data.dataset.warnings.to_string();
    if !warnings.is_empty() {
        terminal::note(&format!("warning: {warnings}"));
    }
    for line in &data.cut {
        terminal::note(&format!("warning: {line}"));
    }
    if args.submission.is_some()
        && let Some((count, first)) = data.dataset.warnings.skipped()
    {
        anyhow::bail!(
            "{count} rows of the {} file have no answer to hand in, and leaderboards want one for each; mend them, or leave out \
             --submission. The first: {first}",
            args.split
        );
    }
    let examples = args.limit.unwrap_or(usize::MAX).min(data.tokens.len());
    let bar = terminal::bar(examples, args.run.task.as_str());
    let labelled = data.examples()[..examples]
        .iter()
        .all(|e| e.target.is_some());
    anyhow::ensure!(
        labelled || args.submission.is_some(),
        "the {} file of {} has no answers to compare with; write a submission with --submission FILE",
        args.split,
        args.run.task
    );
    let tokens = &data.tokens[..examples];
    let lengths: Vec<usize> = tokens.iter().map(|text| text.source.len()).collect();
    let vectors = prompt.as_ref().map_or(0, |prompt| prompt.shape()[0]);
    let precision = memory::numbers(&session.config);
    Fitting::new(&devices, &session.model, precision, vectors).check_batches(
        &lengths,
        session.config.eval.batch_limits(),
        &session.generation(),
    )?;
    let mut progress = |more| {
        bar.inc(more as u64);
        Ok(())
    };
    let answers = session.answer(
        &session.model,
        prompt.as_ref(),
        &data,
        examples,
        &mut progress,
    )?;
    bar.finish_and_clear();
    if let Some(path) = &args.submission {
        submit(&*session.task, data.examples(), &answers, path)?;
    }
    if !labelled {
        return Ok(());
    }
    let scores = session.task.score(&data.examples()[..examples], &answers)?;
    if args.json {
        return print_json(&Report {
            task: args.run.task.clone(),
            split: args.split,
            examples,
            scores,
        });
    }
    for (name, value) in &scores.values {
        let mark = if *name == scores.primary { "*" } else { " " };
        print_line(&format!("{mark} {name:<16} {value:6.2}"))?;
    }
    Ok(())
}

/// Write answers as a leaderboard takes them, under a temporary name first; in a directory under the leaderboard's.
fn submit(
    task: &dyn Task,
    examples: &[Example],
    answers: &[String],
    path: &Path,
) -> anyhow::Result<()> {
    let path = if path.is_dir() {
        &path.join(&*task.submission().file)
    } else {
        path
    };
    let mut bytes = Vec::new();
    let submitted = write_submission(task, examples, answers, &mut bytes)?;
    fpt_files::write(path, bytes)?;
    let replaced = match submitted.replaced {
        0 => String::new(),
        replaced => format!("; {replaced} were no label and went out as the task's default"),
    };
    terminal::note(&format!(
        "{} predictions in {}{replaced}",
        submitted.written,
        path.display()
    ));
    Ok(())
}
