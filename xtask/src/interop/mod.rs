//! `cargo xtask interop`: the same answers here and in PEFT, live.

mod exchange;

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::{generate, terminal};
use fpt_report::MarkdownTable;
use fpt_tasks::TaskName;
use fpt_train::Experiment;
use serde::Serialize;

use exchange::{Agreement, Exchange};

/// Exchange prompts with PEFT and compare the answers.
///
/// Trains a prompt here and prompts with PEFT, then lets both programs answer the same texts with each of them,
/// decoding greedily. Exits with 1 if any answer differs. Run it from the root of the repository; it needs Python 3
/// and, the first time, the network.
#[derive(ClapArgs)]
pub struct Args {
    /// Experiment file.
    #[arg(default_value = "configs/mini.toml")]
    config: PathBuf,

    /// Task whose texts are answered.
    #[arg(long, default_value = "mnli")]
    task: TaskName,

    /// Texts of the dev split to answer.
    #[arg(long, default_value = "500")]
    examples: NonZeroUsize,

    /// Optimizer steps of each prompt.
    #[arg(long, default_value = "40")]
    steps: NonZeroUsize,

    /// Interpreter that has torch, transformers, peft and safetensors; by default a virtual environment is made in
    /// --out, and kept.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Directory for prompts, answers and the virtual environment.
    #[arg(long, default_value = "target/interop")]
    out: PathBuf,

    /// Print the result as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    versions: String,
    task: TaskName,
    agreements: Vec<Agreement>,
}

/// Exchange the prompts, and print how far the answers agree. Returns whether all do.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let experiment = Experiment::from_file(&args.config)?;
    generate::ensure(&experiment)?;
    let config = experiment.run(&args.task, 0, &[])?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("failed to create {}", args.out.display()))?;
    let exchange = Exchange::prepare(args, &config)?;
    let mut prompts = vec![("fpt", exchange.train_here()?)];
    prompts.extend(exchange.train_there()?);
    let mut agreements = Vec::new();
    for (number, (prompt, adapter)) in prompts.iter().enumerate() {
        agreements.push(exchange.answer(number, prompt, adapter)?);
    }

    let complete = agreements.iter().all(Agreement::is_complete);
    if args.json {
        terminal::print_line(&serde_json::to_string_pretty(&Report {
            versions: exchange.versions,
            task: args.task.clone(),
            agreements,
        })?)?;
    } else {
        terminal::print_line(&table(&agreements).to_string())?;
    }
    if !complete {
        terminal::note(&format!(
            "answers differ; they are in {}",
            args.out.display()
        ));
    }
    Ok(complete)
}

fn table(agreements: &[Agreement]) -> MarkdownTable {
    let header = ["Prompt of", "Equal texts", "Equal ids", "Different answers"];
    let mut table = MarkdownTable::new(header);
    for row in agreements {
        table.add_row([
            row.prompt.to_string(),
            format!("{} of {}", row.equal_texts, row.examples),
            format!("{} of {}", row.equal_ids, row.examples),
            row.distinct_answers.to_string(),
        ]);
    }
    table.with_numbers_in(1..header.len())
}
