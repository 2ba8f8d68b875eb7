//! What came out, for readers.

use serde::Serialize;

use super::{Claim, Evidence};
use crate::results::{Run, improve};
use crate::stats::PairedTest;
use crate::{MarkdownTable, csv_line};

/// What the runs of a claim say to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// One for each measure.
    pub findings: Vec<Finding>,
    /// What each seed came to.
    pub seeds: Vec<Seed>,
}

/// What a measure came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The measure.
    pub what: String,
    /// Its value over all seeds.
    pub found: f64,
    /// What it was to be.
    pub wanted: String,
    /// By how much the seeds are beyond the limit, where that differs from seed to seed.
    pub margin: Option<PairedTest>,
    /// What that is counted in.
    pub unit: &'static str,
    /// Whether it is what it was to be.
    pub holds: bool,
}

/// The means over the tasks of one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// Score of what the claim is about, percent.
    pub ours: f64,
    /// Score of what it is compared with, percent.
    pub theirs: f64,
    /// FLOPs, as a share of theirs.
    pub flops_share: f64,
    /// The gain over theirs at the same FLOPs, points, where that is measured.
    pub improve: Option<f64>,
    /// Steps of the starts from our prompt and from a fresh one, where these are measured.
    pub start_steps: Option<[f64; 2]>,
}

impl Verdict {
    /// Whether all of the claim holds.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }

    /// The verdict as a page of Markdown that says where its figures come from.
    pub fn markdown(&self, claim: &Claim, evidence: &Evidence, command: &str, csv: &str) -> String {
        let outcome = if self.holds() {
            "Holds."
        } else {
            "Does not hold."
        };
        let mut text = format!(
            "# {}\n\n**{outcome}**\n\n{}\n",
            claim.title,
            self.findings()
        );
        text += "\nThe margin is by how much a seed (the mean over its tasks) is beyond the limit: its mean over seeds, \
                 its 95 % confidence interval (Student's t), the effect size d (mean by standard deviation), and the p \
                 of the exact paired sign-flip test, two-sided.\n";
        if let Some(note) = &claim.note {
            text += &format!("\n{}\n", note.trim());
        }
        text += &format!("\n## Seeds\n\n{}\n", self.seeds(claim));
        text += &format!("\nMade by `{command}`; every run's figures are in [{csv}]({csv}). ");
        let mut made: Vec<String> = evidence
            .runs()
            .map(|run| {
                let result = &run.finished.result;
                format!("revision {} on {}", result.revision, result.device)
            })
            .collect();
        made.sort();
        made.dedup();
        text += &format!("The runs are of {}.\n", made.join(", "));
        text
    }

    fn findings(&self) -> MarkdownTable {
        let header = [
            "measure",
            "found",
            "wanted",
            "margin",
            "95 % interval",
            "d",
            "p",
            "holds",
        ];
        let mut table = MarkdownTable::new(header);
        for finding in &self.findings {
            let of_margin = |text: &dyn Fn(&PairedTest) -> String| {
                finding.margin.as_ref().map_or_else(String::new, text)
            };
            table.add_row([
                finding.what.clone(),
                format!("{:.3}", finding.found),
                finding.wanted.clone(),
                of_margin(&|test| format!("{:+.2} {}", test.mean, finding.unit)),
                of_margin(&|test| format!("{:+.2} to {:+.2}", test.interval[0], test.interval[1])),
                of_margin(&|test| format!("{:.2}", test.effect)),
                of_margin(&|test| format!("{:.4}", test.p)),
                String::from(if finding.holds { "yes" } else { "no" }),
            ]);
        }
        table.with_numbers_in(1..2).with_numbers_in(3..7)
    }

    fn seeds(&self, claim: &Claim) -> MarkdownTable {
        let [ours, theirs] = [claim.ours.label(), claim.theirs.label()];
        let mut header = vec!["seed".to_string(), ours, theirs, "FLOPs, share".into()];
        let improves = self.seeds.iter().any(|seed| seed.improve.is_some());
        let starts = self.seeds.iter().any(|seed| seed.start_steps.is_some());
        header.extend(improves.then(|| "Improve".into()));
        if starts {
            header.extend(["steps from its prompt".into(), "from a fresh one".into()]);
        }
        let columns = header.len();
        let mut table = MarkdownTable::new(header);
        for seed in &self.seeds {
            let mut row = vec![
                seed.seed.to_string(),
                format!("{:.2}", seed.ours),
                format!("{:.2}", seed.theirs),
                format!("{:.3}", seed.flops_share),
            ];
            row.extend(seed.improve.map(|points| format!("{points:+.2}")));
            row.extend(
                seed.start_steps
                    .into_iter()
                    .flatten()
                    .map(|steps| format!("{steps:.0}")),
            );
            table.add_row(row);
        }
        table.with_numbers_in(0..columns)
    }
}

impl Evidence {
    /// All runs.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.pairs.iter().flat_map(|pair| {
            let starts = pair.starts.iter().flatten();
            [&pair.ours, &pair.theirs].into_iter().chain(starts)
        })
    }

    /// Every run's figures as CSV, a line a run; starts only with what they are about, their steps and dev score.
    pub fn csv(&self) -> String {
        let header = [
            "run",
            "task",
            "seed",
            "method",
            "reported",
            "dev",
            "flops",
            "steps",
            "best_step",
            "improve",
        ];
        let mut text = csv_line(header);
        let line = |run: &Run, gain: Option<f64>| {
            let result = &run.finished.result;
            let name = run.finished.directory.file_name().unwrap_or_default();
            csv_line([
                name.to_string_lossy().into_owned(),
                result.task.to_string(),
                result.seed.to_string(),
                result.method.clone(),
                format!("{:.3}", result.reported.primary_value()),
                format!("{:.3}", result.dev.primary_value()),
                format!("{:.0}", result.flops),
                result.steps.to_string(),
                result.best_step.to_string(),
                gain.map_or_else(String::new, |points| format!("{points:.3}")),
            ])
        };
        for pair in &self.pairs {
            text += &line(&pair.ours, improve(&pair.ours, &pair.theirs));
            text += &line(&pair.theirs, None);
            for run in pair.starts.iter().flatten() {
                text += &line(run, None);
            }
        }
        text
    }
}
