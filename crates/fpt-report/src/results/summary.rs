//! What came out, in a few sentences, and where it comes from.

use std::collections::BTreeSet;

use fpt_schedule::Method;

use super::origin::Origin;
use super::write::{FILES, is_written};
use super::{Results, Row, Run, Table};
use crate::html::Cell;
use crate::stats::PairedTest;

impl Results {
    /// A sentence or two for each progressive training that has prompt tuning to be compared with.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::from_iter(self.best_setting());
        let plain = (self.rows.iter()).filter(|row| row.method == Some(Method::Pt));
        let plain = match plain.collect::<Vec<_>>()[..] {
            [only] => only.average,
            [] => None,
            // Which of its settings would the others be compared with?
            _ => return sentences,
        };
        let Some(plain) = plain else {
            if sentences.is_empty() {
                sentences.push("There is no prompt tuning (PT) to compare with.".into());
            }
            return sentences;
        };
        let progressive: Vec<&Row> = self.progressive().collect();
        if progressive.is_empty() {
            sentences.push(format!(
                "PT scores {plain:.2} on average; there is no progressive training to compare it with."
            ));
            return sentences;
        }
        let sentence = |row: &&Row| match (row.average, row.flops_percent) {
            (Some(average), Some(flops)) => format!(
                "{} keeps {:.1} % of PT's average ({average:.2} of {plain:.2}{}) at {flops:.1} % of its FLOPs.{}",
                row.label,
                100.0 * average / plain,
                self.other_seeds(row),
                improve(row)
            ),
            _ => format!("{} lacks some of PT's tasks.", row.label),
        };
        sentences.extend(progressive.iter().map(sentence));
        sentences
    }

    /// That a row has not the seeds of prompt tuning, where it is so.
    fn other_seeds(&self, row: &Row) -> String {
        let seeds = |runs: &mut dyn Iterator<Item = &Run>| -> BTreeSet<u64> {
            runs.map(Run::seed).collect()
        };
        let ours = seeds(&mut self.runs_of(row));
        let theirs = seeds(&mut self.runs.iter().filter(|run| run.is_plain()));
        if ours == theirs {
            return String::new();
        }
        format!(
            "; not of the same seeds: means over {} and {}",
            ours.len(),
            theirs.len()
        )
    }

    /// Whether Improve is more than chance, over seeds and over tasks; `None` where nothing is there to be paired.
    pub(crate) fn significance(&self) -> Option<Table> {
        let mut rows = Vec::new();
        for row in self.progressive() {
            let Some(improve) = &row.improve else {
                continue;
            };
            for (over, test) in [
                ("seeds", &improve.over_seeds),
                ("tasks", &improve.over_tasks),
            ] {
                rows.extend(test.as_ref().map(|test| line(&row.label, over, test)));
            }
        }
        let header = [
            "method",
            "pairs",
            "Improve",
            "95 % interval",
            "d",
            "p",
            "least p",
        ];
        (!rows.is_empty()).then(|| Table {
            caption: "Improve, tested. Over seeds a pair is a seed, the mean over its tasks; over tasks it is a task, the \
                      mean over its seeds. The interval is Student's, d the mean by the standard deviation, p that of a \
                      paired sign-flip test, two-sided, exact up to 20 pairs; least p is the least that so many pairs \
                      can have."
                .into(),
            header: header.map(String::from).into(),
            rows: rows
                .into_iter()
                .map(|row| row.into_iter().map(super::tables::cell).collect())
                .collect(),
        })
    }

    /// What ends on the full model and is no plain prompt tuning.
    pub(super) fn progressive(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_progressive())
    }

    /// Where all this comes from, and the files beside the page.
    pub(super) fn facts(&self) -> Vec<(String, Vec<Cell>)> {
        let Origin {
            command,
            finished,
            processors,
            devices,
            revisions,
            ..
        } = &self.origin;
        let unknown = || vec![Cell::text("not recorded")];
        let texts = |texts: &[String]| match texts {
            [] => unknown(),
            _ => texts.iter().map(Cell::text).collect(),
        };
        let finished = finished.as_ref().map(|[first, last]| {
            if first == last {
                first.clone()
            } else {
                format!("{first} to {last}")
            }
        });
        let files = FILES.iter().filter(|name| is_written(name, self));
        let files = files.filter(|name| !name.ends_with(".html"));
        vec![
            ("Runs".to_string(), vec![Cell::text(self.extent())]),
            ("Finished".into(), texts(finished.as_slice())),
            ("Processor".into(), texts(processors)),
            ("Device".into(), texts(devices)),
            ("Program".into(), texts(revisions)),
            ("Command".into(), texts(command.as_slice())),
            (
                "Files".into(),
                files.map(|name| Cell::text(*name).href(*name)).collect(),
            ),
        ]
    }

    /// How many runs, and of what.
    fn extent(&self) -> String {
        let mut seeds: Vec<u64> = self.runs.iter().map(Run::seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let plural = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        format!(
            "{}: {}, {}, {}",
            plural(self.runs.len(), "run"),
            plural(self.rows.len(), "method"),
            plural(self.tasks.len(), "task"),
            plural(seeds.len(), "seed")
        )
    }
}

/// What a progressive training gains at the same FLOPs, and how sure that is.
fn improve(row: &Row) -> String {
    let Some(improve) = &row.improve else {
        return String::new();
    };
    let tests = [("seed", &improve.over_seeds), ("task", &improve.over_tasks)];
    let tests: Vec<String> = tests
        .into_iter()
        .filter_map(|(over, test)| Some(verdict(over, test.as_ref()?)))
        .collect();
    let tests = if tests.is_empty() {
        "one seed and one task show no significance".into()
    } else {
        tests.join("; ")
    };
    format!(
        " Improve at equal FLOPs: {:+.2} points ({tests}).",
        improve.mean
    )
}

/// `over 5 seeds -1.31 to +6.27, p 0.172: not significant`.
fn verdict(over: &str, test: &PairedTest) -> String {
    let pairs = test.differences.len();
    let outcome = if test.is_significant() {
        "significant".to_string()
    } else if PairedTest::can_be_significant(pairs) {
        "not significant".into()
    } else {
        format!(
            "not significant, and {pairs} pairs can't show a p below {}",
            p(test.least_p)
        )
    };
    format!(
        "over {pairs} {over}s 95 % interval {:+.2} to {:+.2}, p {}: {outcome}",
        test.interval[0],
        test.interval[1],
        p(test.p)
    )
}

fn line(method: &str, over: &str, test: &PairedTest) -> Vec<String> {
    vec![
        method.into(),
        format!("{} {over}", test.differences.len()),
        format!("{:+.2}", test.mean),
        format!("{:+.2} to {:+.2}", test.interval[0], test.interval[1]),
        format!("{:.2}", test.effect),
        p(test.p),
        p(test.least_p),
    ]
}

/// A probability with four digits, or how small it is.
fn p(value: f64) -> String {
    if value < 0.0005 {
        format!("{value:.0e}")
    } else {
        format!("{value:.4}")
    }
}
