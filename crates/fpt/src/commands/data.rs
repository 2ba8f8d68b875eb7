//! `fpt data`: task files, looked at.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use fpt::model;
use fpt_t5::T5Tokenizer;
use fpt_tasks::check::{CheckOptions, check};
use fpt_tasks::{TaskName, task};

use super::{print_json, print_line};

/// Look at task data.
#[derive(Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
}

/// Read a file of a task and tell what is in it and what is wrong with it.
///
/// Shows counts, the balance of labels, percentiles of lengths, duplicates, and every problem with its line, not
/// only the first. The exit status is 2 if training could not use the file.
///
/// Example: fpt data check --task mnli data/mnli/train.tsv --model google/t5-large-lm-adapt
#[derive(ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct CheckArgs {
    /// Task: mnli, qqp, squad2, record or xsum.
    #[arg(long)]
    task: TaskName,

    /// The file.
    #[arg(value_name = "FILE")]
    path: PathBuf,

    /// Model, by directory or name, with whose tokenizer lengths are counted in tokens as well.
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<PathBuf>,

    /// Show at most so many problems; all are counted.
    #[arg(long, default_value_t = 100, value_name = "N")]
    problems: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Check(args) = command;
    let tokenizer = match &args.model {
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
