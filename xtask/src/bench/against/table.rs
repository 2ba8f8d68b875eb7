//! What came out, for people.

use fpt_report::MarkdownTable;

use super::Report;
use super::judge::{CHANGE, Comparison, SURE, Verdict};
use crate::bench::tables::seconds;

/// The table, with what it is of and how it is judged.
pub(super) fn of(report: &Report) -> String {
    let digits = |commit: &str| commit.chars().take(12).collect::<String>();
    let mut text = format!(
        "{} against {} ({}), {} rounds, on {} cores of {}. A regression is a median ratio above {CHANGE:.2} whose interval \
         lies above {SURE:.2}.\n",
        report.now,
        report.against,
        digits(&report.base),
        report.rounds,
        report.cores,
        report.cpu,
    );
    if !report.benchmarks.is_empty() {
        let mut table = MarkdownTable::new([
            "Benchmark",
            "Base",
            "Now",
            "Now / base",
            "95 % interval",
            "Verdict",
        ]);
        for row in &report.benchmarks {
            let [low, high] = row.interval;
            table.add_row([
                row.name.clone(),
                seconds(row.base),
                seconds(row.now),
                format!("{:.3}", row.ratio),
                format!("{low:.3} to {high:.3}"),
                word(row.verdict).into(),
            ]);
        }
        text += &format!("\n{}\n", table.with_numbers_in(1..5));
    }
    for (what, names) in [("New", &report.new), ("Gone", &report.gone)] {
        if !names.is_empty() {
            text += &format!("\n{what}, so not compared: {}\n", names.join("; "));
        }
    }
    text
}

/// A comparison in a line.
pub(super) fn line(row: &Comparison) -> String {
    let [low, high] = row.interval;
    let verdict = word(row.verdict);
    format!(
        "{}: {:.2} ({low:.2} to {high:.2}), {verdict}",
        row.name, row.ratio
    )
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regression => "regression",
        Verdict::Improvement => "improvement",
        Verdict::NoRegression => "no regression",
        Verdict::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Round;
    use super::*;

    #[test]
    fn the_table_says_what_is_compared_and_what_is_not() {
        let round = |ratio: f64| Round {
            base: vec![0.01],
            now: vec![0.01 * ratio],
        };
        let compare = |name: &str, ratio| Comparison::of(name, vec![round(ratio), round(ratio)]);
        let report = Report {
            cpu: "a processor".into(),
            cores: 2,
            against: "main".into(),
            base: "0123456789abcdef".into(),
            now: "fedcba987654",
            rounds: 2,
            benchmarks: vec![compare("step", 1.25), compare("load", 1.0)],
            new: vec!["fresh".into()],
            gone: Vec::new(),
        };
        assert_eq!(report.regressions(), 1);
        let text = report.table();
        let head = "fedcba987654 against main (0123456789ab), 2 rounds, on 2 cores of a processor.";
        assert!(text.starts_with(head), "{text}");
        let squeezed: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in [
            "| step | 10.0 ms | 12.5 ms | 1.250 | 1.250 to 1.250 | regression |",
            "| load | 10.0 ms | 10.0 ms | 1.000 | 1.000 to 1.000 | no regression |",
            "New, so not compared: fresh",
        ] {
            assert!(squeezed.iter().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("Gone"));
    }
}
