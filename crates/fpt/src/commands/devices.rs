//! `fpt devices`: where this program can compute.

use clap::Args as ClapArgs;
use fpt::{DeviceReport, survey};
use fpt_report::MarkdownTable;

use super::{print_json, print_line, print_table};

/// List where this program can compute, with memory and precisions, and for the rest why not.
///
/// Each device is opened, and adds two numbers. The names are what --device takes; `--device auto` is the first of the
/// list that is not rendered by software.
///
/// Example: fpt devices
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let reports = survey();
    if args.json {
        return print_json(&reports);
    }
    let mut table = MarkdownTable::new(["device", "what it is", "memory", "precisions"]);
    for report in reports.iter().filter(|report| report.usable) {
        table.add_row(row(report));
    }
    print_table(table)?;
    for report in &reports {
        if let Some(reason) = &report.reason {
            print_line(&format!("{}: {reason}", report.name))?;
        }
    }
    Ok(())
}

fn row(report: &DeviceReport) -> [String; 4] {
    let model = report.model.as_deref().unwrap_or("unknown");
    let software = if report.software { ", software" } else { "" };
    // Memory is sold in units of 1024.
    let gibibytes = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    [
        report.name.clone(),
        format!("{model}{software}"),
        report.memory.map_or_else(|| "unknown".into(), gibibytes),
        report.precisions.join(", "),
    ]
}
