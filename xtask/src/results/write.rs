//! `report.md`, `results.json`, `results.csv` and `index.html`.

use std::path::Path;

use anyhow::Context;
use comfy_table::{CellAlignment, presets};

use super::Results;
use super::tables::Table;
use crate::shell;

/// Write the report of the runs in `directory` there, and print the tables, or the JSON.
///
/// # Errors
/// If runs can't be read, or files not be written.
pub fn write(directory: &Path, json: bool) -> anyhow::Result<()> {
    let results = Results::read(directory)?;
    let tables: Vec<Table> = [
        results.prompt_tuning(),
        results.table1(),
        results.table2(),
        results.starts(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = results.page(directory)?.to_html()?;
    let text = serde_json::to_string_pretty(&results)? + "\n";
    let mut markdown = String::from("# Results\n\nScores are percent.\n");
    for table in &tables {
        markdown += &format!("\n{}\n\n{}\n", table.caption, plain(table));
    }
    shell::save(&directory.join("results.json"), &text)?;
    shell::save(&directory.join("results.csv"), &results.csv()?)?;
    shell::save(&directory.join("report.md"), &markdown)?;
    shell::save(&directory.join("index.html"), &page)?;
    if json {
        return shell::print(text.trim_end());
    }
    for table in &tables {
        shell::print(&format!("{}\n{}\n", table.caption, plain(table)))?;
    }
    shell::note(&format!(
        "report: {} (also report.md, results.json, results.csv)",
        directory.join("index.html").display()
    ));
    Ok(())
}

/// The table for terminal and Markdown: our figures alone.
fn plain(table: &Table) -> comfy_table::Table {
    let mut plain = comfy_table::Table::new();
    plain
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(table.header.clone());
    for row in &table.rows {
        plain.add_row(row.iter().map(|cell| cell.text.clone()));
    }
    for column in plain.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    plain
}

impl Results {
    /// A line a run.
    fn csv(&self) -> anyhow::Result<String> {
        let mut text = String::from(
            "method,task,seed,metric,test,dev,test_full,flops,train_seconds,evaluate_seconds,steps,best_step,run\n",
        );
        for run in &self.runs {
            let (config, result) = (&run.finished.config, &run.finished.result);
            let full = result
                .reported_full
                .as_ref()
                .map(|s| s.primary_value().to_string());
            let directory = run
                .finished
                .directory
                .to_str()
                .context("a run's path is no text")?;
            let fields = [
                result.method.clone(),
                config.task.to_string(),
                config.seed.to_string(),
                result.metric.clone(),
                result.reported.primary_value().to_string(),
                result.dev.primary_value().to_string(),
                full.unwrap_or_default(),
                result.flops.to_string(),
                result.seconds.train.to_string(),
                result.seconds.evaluate.to_string(),
                result.steps.to_string(),
                result.best_step.to_string(),
                directory.to_string(),
            ];
            text += &fields.map(|field| quoted(&field)).join(",");
            text.push('\n');
        }
        Ok(text)
    }
}

/// A field of RFC 4180: quoted where it has to be.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_string(),
    }
}
