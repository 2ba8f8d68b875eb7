//! `fpt transfer`: prompts with the models of other runs.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fpt::{DeviceName, data, model, terminal};
use fpt_tasks::{Split, Tasks};
use fpt_train::{FinishedRun, transfers};

use super::similarity::matrix;
use super::{Parent, numbers, print_json, print_line, print_table};

/// Evaluate the prompts of finished runs, unchanged, on each other's models.
///
/// A row is a prompt, a column a model: the partial model of a run on a partial model, or the full model. A prompt
/// can also be the start of a training: --set 'prompt.init={kind="adapter", path="RUN/adapter"}' of fpt train.
///
/// Example: fpt transfer runs/mini/mnli-pt-s0 runs/mini/mnli-cr-*-s0
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Run directories of one model and task.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Dev examples that each score is of.
    #[arg(long, default_value_t = 250, value_parser = numbers::at_least_one)]
    examples: usize,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    #[command(flatten)]
    parent: Parent,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.parent.watch();
    let runs = args
        .runs
        .iter()
        .map(FinishedRun::read)
        .collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        data::require(&run.config, &[Split::Dev], None)?;
    }
    let bar = terminal::bar(runs.len() * runs.len(), "transfer");
    let device = args.device.open_single()?;
    let report = transfers(
        &runs,
        args.examples,
        &Tasks::paper(),
        model::find,
        &device,
        &mut || {
            bar.inc(1);
        },
    )?;
    bar.finish_and_clear();
    if args.json {
        return print_json(&report);
    }
    print_line(&format!(
        "{} of {} on {} dev examples; a row is a prompt, a column a model:",
        report.metric, report.task, report.examples
    ))?;
    let scores = report.scores.iter().cloned();
    print_table(matrix(&report.prompts, &report.models, scores, 1))
}
