use std::path::PathBuf;

use clap::Args as ClapArgs;
use fpt_tasks::{Scores, Split, TaskKind};
use fpt_train::Session;
use serde::Serialize;

use super::{RunArgs, adapter, print_json, print_line};
use crate::device::DeviceName;
use crate::progress;

/// Score a prompt, or the bare model, on a split of a task by greedy decoding.
///
/// Example: fpt eval --config configs/mini.toml --task mnli --adapter runs/mnli/adapter
#[derive(ClapArgs)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Directory of a PEFT prompt-tuning adapter; without it the model gets no prompt.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,

    /// Split: train, dev or test.
    #[arg(long, default_value = "test")]
    split: Split,

    /// Only the first so many examples.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Where to compute.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,

    /// Print the scores as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    task: TaskKind,
    split: Split,
    examples: usize,
    scores: Scores,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let device = args.device.open();
    let session = Session::load(&args.run.resolve()?, &device)?;
    let prompt = adapter(
        args.adapter.as_deref(),
        session.model.config().d_model,
        &device,
    )?;
    let data = session.read(args.split)?;
    let warnings = data.dataset.warnings.to_string();
    if !warnings.is_empty() {
        progress::note(&format!("warning: {warnings}"));
    }
    let examples = args.limit.unwrap_or(usize::MAX).min(data.tokens.len());
    let bar = progress::bar(examples, args.run.task.name());
    let (scores, _) = session.evaluate(
        &session.model,
        prompt.as_ref(),
        &data,
        examples,
        &mut |more| bar.inc(more as u64),
    )?;
    bar.finish_and_clear();
    if args.json {
        return print_json(&Report {
            task: args.run.task,
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
