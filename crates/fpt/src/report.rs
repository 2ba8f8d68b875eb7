//! The report of a directory of runs, written and printed.

use std::path::Path;

use crate::terminal::{note, print_line};

/// Write the report of the runs in `directory` there, and print its tables, or with `json` the results as JSON.
///
/// # Errors
/// If there are no runs, they can't be read, or files not be written.
pub fn report(directory: &Path, json: bool) -> anyhow::Result<()> {
    let report = fpt_report::write(directory)?;
    if json {
        return print_line(report.json.trim_end());
    }
    for table in &report.tables {
        print_line(&format!("{}\n{table}\n", table.caption))?;
    }
    note(&format!(
        "report: {} (also pages of the runs, report.md, results.json, results.csv)",
        report.page.display()
    ));
    Ok(())
}
