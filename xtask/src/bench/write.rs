//! The results as tables and files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt_report::{MarkdownTable, csv_line};
use serde::Serialize;

use super::criterion::Benchmark;
use super::peer::{Answering, Comparison, Timing};
use super::relations::Relation;
use super::tables::{self, seconds};

#[derive(Serialize)]
pub(super) struct Report {
    date: String,
    cpu: String,
    cores: usize,
    /// Of this program and of `fpt`, which are built together.
    revision: &'static str,
    pub benchmarks: Vec<Benchmark>,
    pub relations: Vec<Relation>,
    pub comparisons: Vec<Comparison>,
    #[serde(skip)]
    pub timings: Vec<Timing>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            date: jiff::ZonedDateTime::now().date().to_string(),
            cpu: cpu(),
            cores: cores(),
            revision: fpt::revision(),
            benchmarks: Vec::new(),
            relations: Vec::new(),
            comparisons: Vec::new(),
            timings: Vec::new(),
        }
    }

    pub(super) fn tables(&self) -> String {
        let mut text = String::new();
        if !self.benchmarks.is_empty() {
            let mut table = MarkdownTable::new(["Benchmark", "Median", "95 % interval"]);
            for row in &self.benchmarks {
                table.add_row([
                    row.name.clone(),
                    seconds(row.median),
                    format!(
                        "{} to {}",
                        seconds(row.interval[0]),
                        seconds(row.interval[1])
                    ),
                ]);
            }
            text += &format!("{}\n\n", table.with_numbers_in(1..3));
        }
        for Relation { name, ratio, flops } in &self.relations {
            text += &format!("- Time of {name}: {ratio:.3}");
            if let Some(flops) = flops {
                text += &format!(" (FLOPs: {flops:.3})");
            }
            text += "\n";
        }
        if !self.relations.is_empty() {
            text.push('\n');
        }
        text += &tables::comparisons(&self.comparisons);
        text
    }

    /// Write README.md and raw.csv, and return their directory.
    pub(super) fn write(&self, out: &Path, name: Option<&str>) -> anyhow::Result<PathBuf> {
        let slug: String = self
            .cpu
            .to_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("-");
        let name = name.map_or(String::new(), |name| format!("-{name}"));
        let directory = out.join(format!("{}-{slug}{name}", self.date));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
        fpt_files::write(directory.join("README.md"), self.readme())?;
        fpt_files::write(directory.join("raw.csv"), self.csv())?;
        Ok(directory)
    }

    fn readme(&self) -> String {
        let command = command(std::env::args().skip(1));
        format!(
            "# {}, {}\n\n`cargo xtask {}` on {} cores, revision {}. Times of comparisons are of a batch; ratios are medians of the \
             alternations, with quartiles; memory is the peak of the process.\n\n{}",
            self.cpu,
            self.date,
            command,
            self.cores,
            self.revision,
            self.tables()
        )
    }

    /// Criterion's medians, then every single timing of the comparisons.
    fn csv(&self) -> String {
        let mut text = csv_line([
            "kind",
            "case",
            "threads",
            "program",
            "variant",
            "alternation",
            "seconds",
            "peak_memory",
            "batch",
            "beams",
            "fpt_weights",
            "peer_weights",
        ]);
        let empty = String::new;
        for row in &self.benchmarks {
            text += &csv_line([
                "benchmark".into(),
                row.name.clone(),
                empty(),
                "fpt".into(),
                empty(),
                empty(),
                row.median.to_string(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
            ]);
        }
        let or_empty = |value: Option<u64>| value.map_or(empty(), |value| value.to_string());
        for row in &self.timings {
            let setting = &row.setting;
            let of =
                |field: fn(&Answering) -> String| setting.answering.as_ref().map_or(empty(), field);
            text += &csv_line([
                setting.kind.to_string(),
                setting.case.to_string(),
                setting.threads.to_string(),
                row.program.to_string(),
                row.variant.to_string(),
                or_empty(row.alternation.map(|n| n as u64)),
                row.seconds.to_string(),
                or_empty(row.peak_memory),
                of(|it| it.rows.to_string()),
                of(|it| it.beams.to_string()),
                of(|it| it.our_weights.to_string()),
                of(|it| it.their_weights.to_string()),
            ]);
        }
        text
    }
}

/// The command that makes this again elsewhere: without the interpreter, which is this machine's.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut command = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument
            .split_once('=')
            .map_or(argument.as_str(), |(name, _)| name)
        {
            "--python" if argument.contains('=') => {}
            "--python" => drop(arguments.next()),
            _ => command.push(argument),
        }
    }
    command.join(" ")
}

/// How many cores this program may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor's name, where the system tells it; else its architecture.
pub(super) fn cpu() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split(':').nth(1)?.trim().to_string())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_no_part_of_the_command() {
        let of = |line: &str| command(line.split(' ').map(String::from));
        assert_eq!(of("bench --python /here/python --json"), "bench --json");
        assert_eq!(of("bench train --python=/here/python"), "bench train");
    }
}
