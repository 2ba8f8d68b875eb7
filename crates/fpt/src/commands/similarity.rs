//! `fpt similarity`: prompts compared with each other.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fpt::{DeviceName, model};
use fpt_prompt::Similarity;
use fpt_report::MarkdownTable;
use fpt_tasks::Tasks;
use fpt_train::{FinishedRun, similarities};

use super::{Parent, print_json, print_line, print_table};

/// Compare the prompts of finished runs: in parameter space, and in the neurons that they activate.
///
/// Prompts that were trained on partial models of one model are alike; that is why they transfer. Activated
/// neurons: the prompt alone goes through the full model, and the activations of its feed-forward networks are
/// compared by cosine and by the overlap of those above zero.
///
/// Example: fpt similarity runs/mini/mnli-*-s0
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Run directories of one model.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

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
    let report = similarities(
        &runs,
        &Tasks::paper(),
        model::find,
        &args.device.open_single()?,
    )?;
    if args.json {
        return print_json(&report);
    }
    type Value = fn(&Similarity) -> f64;
    let measures: [(&str, Value); 4] = [
        ("cosine of the prompts", |s| s.cosine),
        ("Euclidean distance of the prompts", |s| s.euclidean),
        ("cosine of the activations", |s| s.activation_cosine),
        ("overlap of the activated neurons", |s| s.activation_overlap),
    ];
    for (what, value) in measures {
        print_line(&format!("{what}:"))?;
        let rows = report
            .pairs
            .iter()
            .map(|row| row.iter().map(value).collect());
        print_table(matrix(&report.names, &report.names, rows, 3))?;
    }
    Ok(())
}

/// A table of numbers with names for rows and columns.
pub(crate) fn matrix(
    rows: &[String],
    columns: &[String],
    values: impl Iterator<Item = Vec<f64>>,
    decimals: usize,
) -> MarkdownTable {
    let header = std::iter::once(String::new()).chain(columns.iter().cloned());
    let mut table = MarkdownTable::new(header);
    for (name, values) in rows.iter().zip(values) {
        let values = values.iter().map(|value| format!("{value:.decimals$}"));
        table.add_row(std::iter::once(name.clone()).chain(values));
    }
    table
}
