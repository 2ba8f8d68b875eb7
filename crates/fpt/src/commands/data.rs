//! `fpt data`: task files, looked at.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use fpt::model;
use fpt_t5::T5Tokenizer;
use fpt_tasks::check::{CheckOptions, check};
use fpt_tasks::{PAPER_SOURCE_LENGTH, TaskName, task};
use fpt_train::Experiment;

use super::{numbers, print_json, print_line};

/// Look at task data.
#[derive(Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
}

/// Read a file of a task and tell what is in it and what is wrong with it.
///
/// Shows counts, the balance of labels, percentiles of lengths, duplicates, and every problem with its line, not
/// only the first. The exit status is 1 if training could not use the file.
///
/// Example: fpt data check --task mnli data/mnli/train.tsv --model google/t5-large-lm-adapt
///
/// Example: fpt data check --task mnli data/mnli/train.tsv --config configs/t5-large.toml
#[derive(ClapArgs)]
pub(crate) struct CheckArgs {
    /// Task: mnli, qqp, squad2, record or xsum.
    #[arg(long)]
    task: TaskName,

    /// The file.
    #[arg(value_name = "FILE")]
    path: PathBuf,

    /// An experiment: lengths are counted with its model's tokenizer, and compared with where it cuts sources.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Model, by directory or name, with whose tokenizer lengths are counted in tokens as well.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<PathBuf>,

    /// Tokens that sources will be cut to; by default as --config says, or the paper's 492.
    #[arg(long, value_name = "N", value_parser = numbers::at_least_one)]
    max_source: Option<usize>,

    /// Show at most so many problems; all are counted.
    #[arg(long, default_value_t = 100, value_name = "N")]
    problems: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Check(args) = command;
    let run = match &args.config {
        Some(path) => Some(Experiment::from_file(path)?.run(&args.task, 0, &[])?),
        None => None,
    };
    let of_run = run.as_ref();
    let model = args.model.as_ref().or(of_run.map(|run| &run.model));
    let max_source = args.max_source.or(of_run.map(|run| run.lengths.max_source));
    // Before a model is fetched for its tokenizer.
    std::fs::metadata(&args.path)
        .with_context(|| format!("cannot read {}", args.path.display()))?;
    let tokenizer = match model {
        Some(model) => Some(T5Tokenizer::from_directory(model::directory(model)?)?),
        None => None,
    };
    let count = |text: &str| match &tokenizer {
        Some(tokenizer) => match tokenizer.encode(text) {
            Ok(ids) => Ok(ids.len()),
            Err(error) => Err(error.to_string()),
        },
        None => Ok(0),
    };
    let options = CheckOptions {
        tokens: tokenizer.is_some().then_some(&count),
        max_source: max_source.unwrap_or(PAPER_SOURCE_LENGTH),
        max_problems: args.problems,
    };
    let report = check(&*task(&args.task)?, &args.path, &options)?;
    if args.json {
        print_json(&report)?;
    } else {
        print_line(report.to_string().trim_end())?;
    }
    anyhow::ensure!(
        report.is_readable(),
        "{} can't be used for {}: see the problems above",
        args.path.display(),
        args.task
    );
    Ok(())
}
