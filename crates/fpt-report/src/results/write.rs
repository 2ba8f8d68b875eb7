//! `report.md`, `results.json`, `results.csv`, `index.html`, `equal-cost.svg`, and a page for each run.

use std::path::{Path, PathBuf};

use super::links::{PAGES, page_file};
use super::run_page::Examples;
use super::{Results, Table};
use crate::{ReportError, csv_line};

/// The files of a report. The last one, the page's first picture for use elsewhere, is only there where there is something to
/// compare.
pub const FILES: [&str; 5] = [
    "results.json",
    "results.csv",
    "report.md",
    "index.html",
    "equal-cost.svg",
];

/// What a report says, and where its page lies.
#[derive(Clone, Debug)]
pub struct Report {
    /// The tables of `report.md`.
    pub tables: Vec<Table>,
    /// The contents of `results.json`, with a line break at the end.
    pub json: String,
    /// `index.html`; the other files lie beside it.
    pub page: PathBuf,
}

/// Whether a report of these results has this one of its [`FILES`].
pub(super) fn is_written(name: &str, results: &Results) -> bool {
    !name.ends_with(".svg") || results.equal_cost().is_some()
}

/// Write the report of the runs in `directory` there: [`FILES`], and a page for each run in [`PAGES`].
///
/// # Errors
/// If runs can't be read, or files not be written.
pub fn write(directory: impl AsRef<Path>) -> Result<Report, ReportError> {
    let directory = directory.as_ref();
    let results = Results::read(directory)?;
    let page = results.page(directory)?.to_html()?;
    results.write_pages(directory)?;
    let [in_json, in_csv, in_markdown, in_html, in_svg] = FILES.map(|name| directory.join(name));
    let json = serde_json::to_string_pretty(&results).map_err(ReportError::Json)? + "\n";
    let tables = results.tables();
    let mut markdown = String::from("# Results\n\nScores are percent.\n");
    for table in &tables {
        markdown += &format!("\n{}\n\n{table}\n", table.caption);
    }
    fpt_files::write(in_json, &json)?;
    fpt_files::write(in_csv, &results.csv()?)?;
    fpt_files::write(in_markdown, &markdown)?;
    fpt_files::write(&in_html, &page)?;
    if let Some(curves) = results.equal_cost()
        && let Some(picture) = curves.to_svg()?
    {
        fpt_files::write(in_svg, &picture)?;
    }
    Ok(Report {
        tables,
        json,
        page: in_html,
    })
}

impl Results {
    /// A page for each run.
    fn write_pages(&self, directory: &Path) -> Result<(), ReportError> {
        let place = directory.join(PAGES);
        if self.runs.iter().any(|run| run.finished.directory == place) {
            return Err(ReportError::InTheWay { directory: place });
        }
        let mut examples = Examples::default();
        for run in self.runs.iter().chain(&self.started) {
            let page = self.run_page(run, directory, &mut examples)?;
            let path = directory.join(page_file(run.below(directory)));
            fpt_files::create_parents(&path)?;
            fpt_files::write(path, page.to_html()?)?;
        }
        Ok(())
    }

    /// A line a run. A text that would be a formula has a `'` before it.
    fn csv(&self) -> Result<String, ReportError> {
        let mut text = String::from(
            "method,task,seed,metric,split,reported,dev,reported_full,flops,train_seconds,evaluate_seconds,steps,best_step,run\n",
        );
        for run in &self.runs {
            let (config, result) = (&run.finished.config, &run.finished.result);
            let full = result
                .reported_full
                .as_ref()
                .map(|s| s.primary_value().to_string());
            let path = &run.finished.directory;
            let directory = path
                .to_str()
                .ok_or_else(|| ReportError::NoText { path: path.clone() })?;
            let fields = [
                result.method.clone(),
                config.task.to_string(),
                config.seed.to_string(),
                result.metric.clone(),
                result.split.to_string(),
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
            text += &csv_line(fields);
        }
        Ok(text)
    }
}
