//! `fpt cost`: what schedules cost.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use fpt::model;
use fpt_partial::shape;
use fpt_report::MarkdownTable;
use fpt_schedule::{Method, ModelShape};
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{Experiment, Plan};
use serde::Serialize;

use super::{print_json, print_table};
use fpt::price::{describe, price};

/// What schedules cost, without running anything: no weights and no data are read.
///
/// Linear FLOPs are counted as in the paper: the linear layers of a forward pass over 512 source positions, averaged
/// over the experiment's tasks. True FLOPs count all matrix products of forward and backward pass, attention and
/// prompt included, at the lengths that the experiment pads to (the longest source and target). Both are percent of
/// prompt tuning on the full model. Memory is the largest stage's, for the longest batch.
///
/// Example: fpt cost --config configs/t5-large.toml
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Experiment file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Only these tasks; may be repeated.
    #[arg(long)]
    task: Vec<TaskName>,

    /// Methods; by default those of the experiment's tables. May be repeated.
    #[arg(long)]
    method: Vec<Method>,

    /// Change a setting; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    method: String,
    stages: String,
    linear_percent: f64,
    true_percent: f64,
    weight_bytes: u64,
    activation_bytes: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = Experiment::from_file(&args.config)?;
    let model =
        model::known_config(&experiment)?.with_context(|| model::unknown(&experiment.model))?;
    let model = shape(&model);
    let tasks = experiment.tasks_or_all(&args.task);
    let methods = if args.method.is_empty() {
        experiment.methods.all()
    } else {
        args.method.clone()
    };
    let mut rows = Vec::new();
    if args.method.is_empty() && !experiment.schedule.stages.is_empty() {
        // The experiment's own schedule comes first.
        rows.push(row(&experiment, &model, tasks, &args.overrides)?);
    }
    for method in methods {
        let mut overrides = args.overrides.clone();
        overrides.push(format!("schedule.method={method}"));
        rows.push(row(&experiment, &model, tasks, &overrides)?);
    }
    if args.json {
        return print_json(&rows);
    }
    print_table(table(&rows))
}

fn row(
    experiment: &Experiment,
    model: &ModelShape,
    tasks: &[TaskName],
    overrides: &[String],
) -> anyhow::Result<Row> {
    let (mut linear, mut real, mut weights, mut activations) = (0.0, 0.0, 0, 0);
    let mut shown = String::new();
    let mut label = String::new();
    for name in tasks {
        let config = experiment.run(name, 0, overrides)?;
        let task = config.task(&Tasks::paper())?;
        let plan = Plan::new(&config, &*task, model)?;
        let price = price(&*task, &plan, config.precision);
        linear += price.linear_share;
        real += price.true_share;
        weights = weights.max(price.weight_bytes);
        activations = activations.max(price.activation_bytes);
        let stages = describe(&plan.schedule);
        if !shown.split("; ").any(|known| known == stages) {
            shown = if shown.is_empty() {
                stages
            } else {
                format!("{shown}; {stages}")
            };
        }
        label = config.schedule.label();
    }
    let count = tasks.len().max(1) as f64;
    Ok(Row {
        method: label,
        stages: shown,
        linear_percent: 100.0 * linear / count,
        true_percent: 100.0 * real / count,
        weight_bytes: weights,
        activation_bytes: activations,
    })
}

fn table(rows: &[Row]) -> MarkdownTable {
    let mut table = MarkdownTable::new([
        "method",
        "linear FLOPs %",
        "true FLOPs %",
        "weights MB",
        "activations MB",
        "steps × layers, d_ff, heads (encoder/decoder)",
    ]);
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    for row in rows {
        table.add_row([
            row.method.clone(),
            format!("{:.1}", row.linear_percent),
            format!("{:.1}", row.true_percent),
            megabytes(row.weight_bytes),
            megabytes(row.activation_bytes),
            row.stages.clone(),
        ]);
    }
    table.with_numbers_in(1..5)
}
