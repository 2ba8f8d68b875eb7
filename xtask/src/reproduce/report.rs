use std::path::Path;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use fpt_tasks::TaskKind;
use fpt_train::RunResult;
use serde::Serialize;

use crate::shell;

/// What the runs of a task came to.
#[derive(Serialize)]
struct Row {
    task: TaskKind,
    metric: String,
    baseline_name: String,
    baseline: f64,
    no_prompt: f64,
    dev: Summary,
    test: Summary,
    steps: usize,
    train_seconds: f64,
    total_seconds: f64,
    peak_memory_mb: Option<f64>,
    seeds: Vec<u64>,
}

/// Mean and, over several seeds, the standard deviation.
#[derive(Serialize)]
struct Summary {
    mean: f64,
    deviation: Option<f64>,
}

impl Summary {
    fn of(values: &[f64]) -> Self {
        let mean = mean(values);
        let squares: Vec<f64> = values.iter().map(|v| (v - mean).powi(2)).collect();
        let deviation = (values.len() > 1)
            .then(|| (squares.iter().sum::<f64>() / (values.len() - 1) as f64).sqrt());
        Self { mean, deviation }
    }

    fn text(&self) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.2} ± {deviation:.2}", self.mean),
            None => format!("{:.2}", self.mean),
        }
    }
}

/// Write `report.md` and `results.json` into `out` and print the table, or the JSON.
pub fn write(results: &[RunResult], out: &Path, json: bool) -> anyhow::Result<()> {
    let rows = rows(results);
    let text = serde_json::to_string_pretty(&rows)? + "\n";
    let table = table(&rows);
    let legend = "Scores on the test split, percent; dev is what the best step was chosen on. The baseline \
                  answers without reading; no prompt is the frozen model as it is. Seconds are of one run.";
    save(&out.join("results.json"), &text)?;
    save(
        &out.join("report.md"),
        &format!("# Prompt tuning\n\n{table}\n\n{legend}\n"),
    )?;
    match json {
        true => shell::print(text.trim_end()),
        false => {
            shell::print(&format!("{table}\n\n{legend}"))?;
            shell::note(&format!("report: {}", out.join("report.md").display()));
            Ok(())
        }
    }
}

fn rows(results: &[RunResult]) -> Vec<Row> {
    let mut tasks: Vec<TaskKind> = Vec::new();
    for result in results {
        if !tasks.contains(&result.task) {
            tasks.push(result.task);
        }
    }
    tasks
        .into_iter()
        .filter_map(|task| {
            let runs: Vec<&RunResult> = results.iter().filter(|r| r.task == task).collect();
            let first = *runs.first()?;
            let all = |value: &dyn Fn(&RunResult) -> f64| -> Vec<f64> {
                runs.iter().map(|run| value(run)).collect()
            };
            Some(Row {
                task,
                metric: first.metric.clone(),
                baseline_name: first.baseline.name.clone(),
                baseline: first.baseline.value,
                no_prompt: first.no_prompt.primary_value(),
                dev: Summary::of(&all(&|run| run.dev.primary_value())),
                test: Summary::of(&all(&|run| run.test.primary_value())),
                steps: first.steps,
                train_seconds: mean(&all(&|run| run.seconds.train)),
                total_seconds: mean(&all(&|run| {
                    run.seconds.load + run.seconds.train + run.seconds.evaluate
                })),
                peak_memory_mb: runs
                    .iter()
                    .filter_map(|run| run.peak_memory)
                    .max()
                    .map(|bytes| bytes as f64 / 1e6),
                seeds: runs.iter().map(|run| run.seed).collect(),
            })
        })
        .collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "task",
        "metric",
        "baseline",
        "no prompt",
        "PT dev",
        "PT test",
        "steps",
        "train s",
        "total s",
        "peak MB",
    ]);
    for row in rows {
        table.add_row([
            row.task.to_string(),
            row.metric.clone(),
            format!("{:.2} ({})", row.baseline, row.baseline_name),
            format!("{:.2}", row.no_prompt),
            row.dev.text(),
            row.test.text(),
            row.steps.to_string(),
            format!("{:.0}", row.train_seconds),
            format!("{:.0}", row.total_seconds),
            row.peak_memory_mb
                .map_or("-".into(), |mb| format!("{mb:.0}")),
        ]);
    }
    for column in 2..10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Write under a temporary name, then rename.
fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| format!("failed to write {}", path.display()))
}
