//! Reports list everything that is wrong with a file, with its line.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use fpt_tasks::check::Severity;
use fpt_tasks::{
    CheckOptions, Mnli, Qqp, Record, Report, Split, Squad2, Task, TaskName, Tasks, Xsum, check,
    check_from,
};

fn report(task: &dyn Task, bytes: &[u8]) -> Report {
    check_from(
        task,
        &mut &*bytes,
        "dir/file".as_ref(),
        &CheckOptions::default(),
    )
    .unwrap()
}

/// `line severity: message` of every problem.
fn problems(report: &Report) -> Vec<String> {
    let place = |number: Option<usize>| number.map_or("-".to_owned(), |n| n.to_string());
    let problems = report.problems.iter();
    problems
        .map(|p| format!("{} {}: {}", place(p.line), p.severity, p.message))
        .collect()
}

#[test]
fn every_bad_row_of_a_table_is_listed() {
    let mut table = b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n\
        1\t0\t0\tWho?\tWhat?\t0\n\
        2\t0\t0\tWho?\tWhat?\t1\n\
        3\t0\t0\tbroken\n\
        4\t0\t0\tWho?\tWhat?\tyes\n"
        .to_vec();
    table.extend(b"5\t0\t0\t\xff\tWhat?\t0\n");
    table.extend(b"\n2\t0\t0\t\tWhat?\t0\n8\t0\t0\tWho?\tWhat?\t0\n");
    let report = report(&Qqp, &table);
    assert_eq!(
        problems(&report),
        [
            "3 warning: same input as line 2, but another answer",
            "4 warning: 4 columns instead of 6; skipped",
            "5 error: is_duplicate is `yes`; expected 0 or 1",
            "6 error: invalid UTF-8; convert the file to UTF-8",
            "8 note: empty question1",
            "8 warning: same id `2` as line 3",
            "9 note: same input as line 2",
        ]
    );
    assert_eq!((report.errors, report.warnings, report.notes), (2, 3, 2));
    assert!(!report.is_readable());
    assert_eq!(report.examples, 4);
    assert_eq!(report.labels["not_duplicate"], 3);
    assert_eq!(report.labels["is_duplicate"], 1);
    assert_eq!(report.empty_fields["question1"], 1);
    assert_eq!(
        (
            report.duplicates.inputs,
            report.duplicates.conflicting,
            report.duplicates.ids
        ),
        (2, 1, 1)
    );
}

#[test]
fn headers_and_whole_files_are_judged() {
    assert_eq!(
        problems(&report(&Mnli, b"index\tpremise\tlabel\n0\ta\tb\n")),
        [
            "1 error: no column `sentence1` in the header (index, premise, label); is this the task's own file?",
            "1 error: no column `sentence2` in the header (index, premise, label); is this the task's own file?",
        ]
    );
    let report = report(&Xsum, "one\n".repeat(12).as_bytes());
    assert_eq!((report.warnings, report.errors), (12, 1));
    assert!(
        report.problems[12]
            .message
            .starts_with("12 of 12 rows are malformed")
    );
    for task in Tasks::paper().iter() {
        let report = self::report(task, b"");
        assert_eq!((report.errors, report.examples), (1, 0), "{task:?}");
        assert!(report.source.is_none() && report.target.is_none());
    }
}

#[test]
fn every_bad_line_of_json_is_listed() {
    let good = r#"{"passage": {"text": "Ann", "entities": [{"start": 0, "end": 2}]}, "qas": [{"query": "a", "idx": 1, "answers": [{"text": "Ann"}]}]}"#;
    let text = [
        good,
        "{",
        r#"{"passage": {"text": "né", "entities": [{"start": 0, "end": 2}]}, "qas": []}"#,
        r#"{"passage": {"text": "Ann", "entities": []}, "qas": [{"query": "", "idx": 4, "answers": [{"text": "Bob"}]}, {"query": "q", "idx": 5}]}"#,
        good,
    ]
    .join("\n");
    let report = report(&Record, text.as_bytes());
    assert_eq!(
        problems(&report),
        [
            "2 error: EOF while parsing an object",
            "3 error: entity span 0..=2 is not within the passage of 2 characters",
            "4 note: empty query",
            "4 error: answer `Bob` of query `4` is none of the passage's entities",
            "5 note: same input as line 1",
            "5 warning: same id `1` as line 1",
            "- warning: 1 of 3 examples have no label or answer",
        ]
    );
    assert_eq!(report.problems[0].column, Some(1));
    assert_eq!(
        report.to_string().lines().next(),
        Some("dir/file:2:1: error: EOF while parsing an object")
    );
}

#[test]
fn every_bad_part_of_squad_is_listed() {
    let text = r#"{"data": [
 {"paragraphs": [
  {"context": "c", "qas": [
   {"id": "a", "question": "q", "answers": [], "is_impossible": false},
   {"id": "b", "question": 7},
   {"id": "a", "question": "q", "answers": [{"text": "x"}]}]},
  {"qas": []}]},
 {"title": "no paragraphs"},
 {"paragraphs": [{"context": "", "qas": [{"id": "d", "question": "q"}]}]}]}"#;
    let report = report(&Squad2, text.as_bytes());
    assert_eq!(
        problems(&report),
        [
            "4 warning: question `a`: is_impossible is false but there are 0 answers; the answers count",
            "5 error: invalid type: integer `7`, expected a string",
            "6 warning: same input as line 4, but another answer",
            "6 warning: same id `a` as line 4",
            "7 error: missing field `context`",
            "8 error: missing field `paragraphs`",
            "9 note: empty context",
            "- warning: 1 of 3 examples have no label or answer",
        ]
    );
    assert_eq!(report.problems[1].column, Some(28));
    assert_eq!(report.labels["answer"], 1);
    assert_eq!(report.labels["no answer"], 1);
    // The syntax must hold, or nothing can be told apart.
    let broken = self::report(&Squad2, b"{\"data\": [\n}");
    assert_eq!(problems(&broken), ["2 error: expected value"]);
}

#[test]
fn lengths_have_percentiles() {
    let rows = (1..=100).map(|n| format!("{}\tA summary\n", "wörd ".repeat(n).trim()));
    let text: String = rows.collect();
    let count = |text: &str| Ok(text.split(' ').count() + 1);
    let options = CheckOptions {
        tokens: Some(&count),
        ..CheckOptions::default()
    };
    let path = Path::new("xsum.tsv");
    let report = check_from(&Xsum, &mut text.as_bytes(), path, &options).unwrap();
    let source = report.source.as_ref().unwrap();
    assert_eq!(
        (source.words.p50, source.words.p99, source.words.max),
        (50, 99, 100)
    );
    assert_eq!((source.characters.min, source.characters.max), (4, 499));
    assert_eq!(source.tokens.as_ref().unwrap().max, 101);
    assert_eq!((source.limit, source.over_limit), (492, Some(0)));
    // "<extra_id_0>A summary" and `</s>`.
    let target = report.target.as_ref().unwrap();
    assert_eq!(target.tokens.as_ref().unwrap().max, 3);
    assert!(
        report
            .to_string()
            .contains("source words: min 1, mean 50.5, p50 50, p90 90, p95 95, p99 99, max 100\n")
    );

    let refuse = |_: &str| Err("no such piece".to_owned());
    let options = CheckOptions {
        tokens: Some(&refuse),
        max_problems: 3,
        ..CheckOptions::default()
    };
    let report = check_from(&Xsum, &mut text.as_bytes(), path, &options).unwrap();
    assert_eq!((report.errors, report.problems.len()), (200, 3));
    assert!(report.to_string().contains("\n... and 197 more\n"));
    assert!(report.source.unwrap().tokens.is_none());
}

#[test]
fn good_files_have_good_reports() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    for task in Tasks::paper().iter() {
        for split in Split::ALL {
            let path = task.path(&dir, split).unwrap();
            let report = check(task, &path, &CheckOptions::default()).unwrap();
            assert!(
                report.is_readable() && report.examples > 0,
                "{task:?} {split}"
            );
            assert_eq!(
                report.unlabelled == report.examples,
                split == Split::Test && task.name() != TaskName::XSUM,
                "{task:?} {split}"
            );
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["task"], task.name().as_str());
            assert_eq!(json["errors"], 0);
        }
    }
    let path = Record.path(&dir, Split::Train).unwrap();
    let report = check(&Record, &path, &CheckOptions::default()).unwrap();
    assert_eq!((report.examples, report.queries, report.notes), (3, 2, 0));
    assert!(check(&Mnli, &dir.join("none.tsv"), &CheckOptions::default()).is_err());
    assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
}
