//! Claims on runs that are written here.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use fpt_tasks::TaskName;

use super::{Claim, Evidence, Pair};
use crate::Run;
use crate::tests::{Fake, eval};

const CLAIM: &str = r#"
title = "FPT-CR is as good"
experiment = "mini.toml"
tasks = ["mnli", "qqp"]
seeds = [10, 11, 12, 13, 14]
ours = { method = "fpt-cr" }
score_at_least = 0.9
flops_at_most = 0.8
improve_above = 0.0
start = { reach = 0.95, steps_at_most = 0.5, every = 2 }
"#;

fn claim(text: &str) -> Result<Claim, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claim.toml");
    fs::write(&path, text).unwrap();
    Claim::from_file(&path).map_err(|error| error.to_string())
}

/// Runs of both tasks with all seeds. Prompt tuning scores 70 and 80, ours `gain` more than what it had at ours' FLOPs, and
/// a point more with each seed.
fn evidence(directory: &Path, gain: f64) -> Evidence {
    let mut pairs = Vec::new();
    for seed in 10..15 {
        for (task, shift) in [(TaskName::MNLI, 0.0), (TaskName::QQP, 10.0)] {
            let write = |name: &str, method, score, flops, metrics| {
                let name = format!("{task}-{name}-s{seed}");
                Fake(task.clone(), method, seed, score, flops, 1.0, metrics)
                    .write(directory, &name, None);
                Run::read(&directory.join(name)).unwrap()
            };
            let curve = vec![
                eval(4, 600.0, 60.0, Some(50.0 + shift)),
                eval(8, 1000.0, 80.0, Some(70.0 + shift)),
            ];
            let theirs = write("pt", "pt", 70.0 + shift, 1000.0, curve);
            // At 800 FLOPs prompt tuning is half-way from 50 to 70.
            let score = 60.0 + shift + gain + (seed - 10) as f64;
            let ours = write("cr", "fpt-cr", score, 800.0, vec![]);
            // 95 % of 80 are 76. A training that does not come so far counts as twice as long as it was.
            let soon = vec![eval(2, 1.0, 70.0, None), eval(4, 2.0, 76.0, None)];
            let starts = [
                write("from", "pt", 1.0, 1.0, soon),
                write("fresh", "pt", 1.0, 1.0, vec![eval(8, 1.0, 75.9, None)]),
            ];
            let starts = Some(starts);
            pairs.push(Pair {
                ours,
                theirs,
                starts,
            });
        }
    }
    Evidence { pairs }
}

#[test]
fn what_holds_is_said_to_hold_and_what_does_not_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let claim = claim(CLAIM).unwrap();
    let evidence = evidence(directory.path(), 1.0);
    let verdict = claim.judge(&claim.tasks, &evidence).unwrap();
    let [score, flops, improve, start] = &verdict.findings[..] else {
        panic!("{verdict:?}");
    };
    // (61 + 71) / 2 + 2 on average, of 75.
    assert!((score.found - 68.0 / 75.0).abs() < 1e-9 && score.holds);
    let margin = score.margin.as_ref().unwrap();
    assert!((margin.mean - (68.0 - 0.9 * 75.0)).abs() < 1e-9);
    assert!((flops.found - 0.8).abs() < 1e-9 && flops.holds);
    // 1 to 5 points: all of a sign.
    let margin = improve.margin.as_ref().unwrap();
    assert_eq!((improve.found, margin.p), (3.0, 2.0 / 32.0));
    assert!(!improve.holds, "five pairs can't show it");
    assert_eq!((start.found, start.holds), (4.0 / 16.0, true));
    assert!(!verdict.holds());

    let text = verdict.markdown(&claim, &evidence, "cargo xtask records x", "x.csv");
    for part in [
        "# FPT-CR is as good",
        "Does not hold",
        "0.0625",
        "+3.00 points",
        "x.csv",
        "revision r1",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let csv = evidence.csv();
    assert_eq!(csv.lines().count(), 1 + 4 * 10);
    assert!(
        csv.contains("mnli-cr-s10,mnli,10,FPT-CR,61.000,80.000,800,8,8,1.000\n"),
        "{csv}"
    );
}

#[test]
fn a_claim_without_all_its_runs_is_not_judged() {
    let directory = tempfile::tempdir().unwrap();
    let claim = claim(CLAIM).unwrap();
    let mut evidence = evidence(directory.path(), 1.0);
    let error = |evidence: &Evidence| {
        let verdict = claim.judge(&claim.tasks, evidence);
        verdict.unwrap_err().to_string()
    };
    let mut without_start = evidence.clone();
    without_start.pairs[0].starts = None;
    assert!(error(&without_start).contains("no training starts from the prompt of"));
    evidence.pairs.pop();
    let message = error(&evidence);
    assert!(message.contains("qqp with seed 14"), "{message}");
}

#[test]
fn claims_say_what_is_wrong_with_them() {
    claim(CLAIM).unwrap();
    for (from, to, complaint) in [
        (
            "score_at_least = 0.9",
            "score_at_lest = 0.9",
            "score_at_lest",
        ),
        (
            "[10, 11, 12, 13, 14]",
            "[10, 11, 12, 13]",
            "`seeds` holds 4",
        ),
        ("[10, 11, 12, 13, 14]", "[10, 11, 12, 13, 13]", "one twice"),
        (
            "improve_above = 0.0",
            "improve_above = nan",
            "`improve_above` is no number",
        ),
        ("every = 2", "every = 0", "`start.every`"),
        ("\"fpt-cr\"", "\"pt\"", "the same name"),
        ("\"fpt-cr\"", "\"fpt-cr\", name = \"a/b\"", "a/b"),
        ("\"fpt-cr\"", "\"fpt-xx\"", "fpt-xx"),
        ("method = \"fpt-cr\"", "settings = []", "needs a `name`"),
    ] {
        assert!(CLAIM.contains(from), "{from}");
        let message = claim(&CLAIM.replace(from, to)).unwrap_err();
        assert!(message.contains("claim.toml"), "{message}");
        assert!(
            message.contains(complaint),
            "{complaint} is not in: {message}"
        );
    }
    let nothing: String = CLAIM
        .lines()
        .take(6)
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(claim(&nothing).unwrap_err().contains("claims nothing"));
}
