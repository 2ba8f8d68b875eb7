//! Broken files give one error that names file and line, never a panic.

#![allow(clippy::unwrap_used)]

use fpt_tasks::{
    CheckOptions, Mnli, Qqp, Record, ScoreError, Split, Squad2, Task, TaskError, Tasks, Xsum,
    check_from, read_split,
};
use proptest::prelude::*;
use proptest::sample::Index;

const QQP_HEADER: &str = "id\tquestion1\tquestion2\tis_duplicate\n";

fn error(task: &dyn Task, bytes: &[u8]) -> String {
    let result = task.read_from(&mut &*bytes, "dir/file".as_ref());
    result.unwrap_err().to_string()
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for task in Tasks::paper().iter() {
        let error = read_split(dir.path(), task, Split::Dev).unwrap_err();
        assert!(matches!(error, TaskError::Io { .. }));
        let file = task.file(Split::Dev);
        let message = error.to_string();
        assert!(
            message.contains(task.name().as_str()) && message.contains(file),
            "{message}"
        );
    }
}

#[test]
fn empty_files_say_what_was_expected() {
    let cases: [(&dyn Task, &str); 6] = [
        (&Mnli, ""),
        (&Mnli, "index\tsentence1\tsentence2\tgold_label\n"),
        (&Qqp, "\n\n"),
        (&Squad2, r#"{"data": []}"#),
        (&Record, "\n"),
        (&Xsum, ""),
    ];
    for (task, text) in cases {
        let message = error(task, text.as_bytes());
        assert!(
            message.starts_with("dir/file: no examples; expected "),
            "{message}"
        );
    }
    assert_eq!(
        error(&Squad2, b""),
        "dir/file:1:0: EOF while parsing a value"
    );
}

#[test]
fn invalid_utf8_is_named_by_line() {
    let cases: [(&dyn Task, &str); 4] = [
        (&Mnli, "index\tsentence1\tsentence2\tgold_label\n"),
        (&Qqp, QQP_HEADER),
        (&Squad2, "{\n"),
        (&Xsum, "a\tb\n"),
    ];
    for (task, head) in cases {
        let bytes = [head.as_bytes(), b"\xff\xfe\n"].concat();
        let expected = "dir/file:2: invalid UTF-8; convert the file to UTF-8";
        assert_eq!(error(task, &bytes), expected);
    }
    assert!(error(&Record, b"\xff\n").starts_with("dir/file:1: invalid UTF-8"));
}

#[test]
fn missing_columns_are_named() {
    assert_eq!(
        error(&Mnli, b"index\tpremise\thypothesis\n"),
        "dir/file:1: no column `sentence1` in the header (index, premise, hypothesis); is this the task's own file?"
    );
    assert!(error(&Qqp, b"id\tquestion1\n").contains("`question2`"));
}

#[test]
fn unknown_labels_are_named_by_line() {
    assert_eq!(
        error(
            &Mnli,
            b"index\tsentence1\tsentence2\tgold_label\n0\ta\tb\thidden\n"
        ),
        "dir/file:2: gold_label is `hidden`; expected contradiction, entailment, neutral or -"
    );
    let table = format!("{QQP_HEADER}0\ta\tb\t1\n1\ta\tb\tyes\n");
    assert_eq!(
        error(&Qqp, table.as_bytes()),
        "dir/file:3: is_duplicate is `yes`; expected 0 or 1"
    );
}

#[test]
fn many_broken_rows_mean_another_file() {
    let table = |good: usize, bad: usize| {
        format!(
            "{QQP_HEADER}{}{}",
            "0\ta\tb\t1\n".repeat(good),
            "0\ta\n".repeat(bad)
        )
    };
    let read = |text: &str| Qqp.read_from(&mut text.as_bytes(), "dir/file".as_ref());
    // Nine are accidents in any file, ten are not unless they are at most 1 %.
    assert_eq!(read(&table(5, 9)).unwrap().warnings.count(), 9);
    assert_eq!(read(&table(990, 10)).unwrap().warnings.count(), 10);
    assert_eq!(
        read(&table(989, 10)).unwrap_err().to_string(),
        "dir/file: 10 of 999 rows are malformed, so this is not such a file; \
         the first: dir/file:991: 2 columns instead of 4; skipped"
    );
    assert!(error(&Xsum, "one column\n".repeat(20).as_bytes()).contains("20 of 20 rows"));
}

#[test]
fn json_errors_have_line_column_and_field() {
    let squad = |text: &str| error(&Squad2, text.as_bytes());
    assert_eq!(
        squad("{\"data\": [\n {\"paragraphs\": [{\"qas\": []}]}]}"),
        "dir/file:2:28: missing field `context`"
    );
    assert!(squad("{\"data\": [\n").starts_with("dir/file:2:0: EOF"));
    assert!(squad("{\"data\": 3}").contains("invalid type: integer `3`"));

    let record = |text: &str| error(&Record, text.as_bytes());
    let good = r#"{"passage": {"text": "Ann", "entities": []}, "qas": [{"query": "q"}]}"#;
    let cases = [
        (
            r#"{"passage": {"text": "Ann"}, "qas": []}"#,
            "dir/file:2:27: missing field `entities`",
        ),
        (
            r#"{"passage": "#,
            "dir/file:2:12: EOF while parsing a value",
        ),
        (
            r#"{"passage": {"text": "né", "entities": [{"start": 0, "end": 2}]}, "qas": []}"#,
            "dir/file:2: entity span 0..=2 is not within the passage of 2 characters",
        ),
        (
            r#"{"passage": {"text": "né", "entities": [{"start": 1, "end": 0}]}, "qas": []}"#,
            "dir/file:2: entity span 1..=0 is not within the passage of 2 characters",
        ),
        (
            r#"{"passage": {"text": "Ann", "entities": []}, "qas": [{"query": "q", "idx": 4, "answers": [{"text": "Bob"}]}]}"#,
            "dir/file:2: answer `Bob` of query `4` is none of the passage's entities",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(record(&format!("{good}\n{line}\n")), expected);
    }
}

#[test]
fn overlapping_entities_have_an_end() {
    let spans = r#"{"start": 0, "end": 9}"#;
    let line = |count: usize| {
        let spans = vec![spans; count].join(", ");
        format!(
            r#"{{"passage": {{"text": "0123456789", "entities": [{spans}]}}, "qas": [{{"query": "q"}}]}}"#
        )
    };
    let read = |text: String| Record.read_from(&mut text.as_bytes(), "dir/file".as_ref());
    assert!(read(line(32)).is_ok());
    assert_eq!(
        read(line(33)).unwrap_err().to_string(),
        "dir/file:1: the entity spans cover the passage more than 32 times"
    );
}

#[test]
fn a_passage_has_no_thousands_of_entities() {
    // Each of them is looked for in the whole passage.
    let text: String = (0..5000u32)
        .filter_map(|i| char::from_u32(0x4e00 + i))
        .collect();
    let line = |count: usize| {
        let spans = (0..count).map(|i| format!(r#"{{"start": {i}, "end": {i}}}"#));
        let spans = spans.collect::<Vec<_>>().join(",");
        format!(
            r#"{{"passage": {{"text": "{text}", "entities": [{spans}]}}, "qas": [{{"query": "q"}}]}}"#
        )
    };
    let read = |text: String| Record.read_from(&mut text.as_bytes(), "dir/file".as_ref());
    assert!(read(line(4096)).is_ok());
    assert_eq!(
        read(line(4097)).unwrap_err().to_string(),
        "dir/file:1: the passage has 4097 entities, more than the 4096 supported; keep those that are answers"
    );
}

#[test]
fn a_summary_that_rouge_has_no_memory_for_is_refused() {
    let words = |count: usize| "w ".repeat(count - 1) + "w";
    let table = |summary: &str| format!("a document\tshort\na document\t{summary}\n");
    let lines = |summary: &str| {
        format!(
            r#"{{"document": "d", "summary": "short"}}
{{"document": "d", "summary": "{summary}"}}"#
        )
    };
    for (name, text) in [
        ("dir/file.tsv", &table as &dyn Fn(&str) -> String),
        ("dir/file.jsonl", &lines),
    ] {
        let read = |text: String| Xsum.read_from(&mut text.as_bytes(), name.as_ref());
        assert!(read(text(&words(4096))).is_ok());
        assert_eq!(
            read(text(&words(20_000))).unwrap_err().to_string(),
            format!(
                "{name}:2: the summary has 39999 bytes, more than the 8192 that ROUGE is computed of; \
                 is it the document? Give one sentence, or leave the row out"
            )
        );
    }
}

#[test]
fn train_and_dev_need_labels() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("qqp")).unwrap();
    let text = "id\tquestion1\tquestion2\n17\ta\tb\n";
    for file in ["dev.tsv", "test.tsv"] {
        std::fs::write(dir.path().join("qqp").join(file), text).unwrap();
    }
    let error = read_split(dir.path(), &Qqp, Split::Dev).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "dev.tsv: example `17` has no label or answer; only a test file may hide them"
        )
    );
    let test = read_split(dir.path(), &Qqp, Split::Test).unwrap();
    let score = Qqp.score(&test.examples, &["x".to_owned()]);
    assert_eq!(
        score,
        Err(ScoreError::Hidden {
            id: "17".to_owned()
        })
    );
    assert_eq!(
        Qqp.score(&test.examples, &[]),
        Err(ScoreError::Count {
            examples: 1,
            predictions: 0
        })
    );
    for task in Tasks::paper().iter() {
        assert_eq!(task.score(&[], &[]), Err(ScoreError::NoExamples));
        let baseline = task.baseline(&[], &test.examples);
        assert!(
            baseline.is_err(),
            "{task:?}: nothing to learn from, or hidden answers"
        );
    }
}

/// Whole small files with the name that tells their format, to be damaged.
fn valid_file() -> impl Strategy<Value = (&'static dyn Task, &'static str, Vec<u8>)> {
    let files: [(&'static dyn Task, _, &[u8]); 6] = [
        (&Mnli, "dir/file", include_bytes!("files/mnli/train.tsv")),
        (&Qqp, "dir/file", include_bytes!("files/qqp/train.tsv")),
        (&Squad2, "dir/file", include_bytes!("files/squad2/dev-v2.0.json")),
        (&Record, "dir/file", include_bytes!("files/record/train.jsonl")),
        (&Xsum, "dir/file", include_bytes!("files/xsum/xsum_train.tsv")),
        (
            &Xsum,
            "dir/file.jsonl",
            b"{\"document\": \"d\\ne\", \"summary\": \"s\", \"id\": \"1\"}\n{\"document\": \"d\", \"summary\": null}\n",
        ),
    ];
    proptest::sample::select(files.to_vec())
        .prop_map(|(task, path, bytes)| (task, path, bytes.to_vec()))
}

/// What may be done to a file.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let tokens = [
        "\t", "\n", "\r\n", "{", "}", "[", "]", "\"", "\\", "null", "-1", "1e999", "\u{feff}",
        "\\ud800", ",",
    ];
    let bytes = prop_oneof![
        proptest::sample::select(tokens.to_vec()).prop_map(|t| t.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..4),
    ];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        4 => (any::<Index>(), bytes).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (any::<Index>(), 1..80_usize, 1..40_usize)
            .prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        let index = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let part = |at: Index, length: usize, bytes: &[u8]| {
            let start = index(at, bytes);
            start..(start + length).min(bytes.len())
        };
        match self {
            Self::Replace(at, byte) => {
                let at = index(at, bytes);
                bytes.splice(at..(at + 1).min(bytes.len()), [byte]);
            }
            Self::Insert(at, new) => {
                let at = index(at, bytes);
                bytes.splice(at..at, new);
            }
            Self::Remove(at, length) => {
                bytes.drain(part(at, length, bytes));
            }
            Self::Repeat(at, length, times) => {
                let part = part(at, length, bytes);
                let copies = bytes[part.clone()].repeat(times);
                bytes.splice(part.start..part.start, copies);
            }
            Self::Cut(at) => bytes.truncate(index(at, bytes)),
        }
    }
}

/// Reading and checking agree, and every error names the file.
fn probe(task: &dyn Task, path: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let report = check_from(task, &mut &*bytes, path.as_ref(), &CheckOptions::default());
    let report = report.map_err(|e| TestCaseError::fail(e.to_string()))?;
    match task.read_from(&mut &*bytes, path.as_ref()) {
        Ok(data) => {
            prop_assert!(!data.examples.is_empty());
            prop_assert_eq!(report.errors, 0, "{}", report);
            prop_assert_eq!(report.examples, data.examples.len());
        }
        Err(error) => {
            let message = error.to_string();
            prop_assert!(message.starts_with(&format!("{path}:")), "{}", message);
            prop_assert!(report.errors > 0, "{} but {}", message, report);
        }
    }
    Ok(())
}

// Seconds by default; PROPTEST_CASES=1000000 makes it a fuzzer.
proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for task in Tasks::paper().iter() {
            probe(task, "dir/file", &bytes)?;
        }
        probe(&Xsum, "dir/file.jsonl", &bytes)?;
    }

    #[test]
    fn damaged_files_never_panic(
        (task, path, mut bytes) in valid_file(),
        damages in proptest::collection::vec(damage(), 1..6),
    ) {
        for damage in damages {
            damage.apply(&mut bytes);
        }
        probe(task, path, &bytes)?;
    }
}
