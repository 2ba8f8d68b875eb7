//! Predictions in the formats of the leaderboards.

#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;

use fpt_tasks::{
    Dataset, Mnli, Qqp, Record, Split, Squad2, SubmitError, Submitted, Task, Tasks, Xsum,
    read_split, write_submission,
};

fn test_set(task: &dyn Task) -> Dataset {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    read_split(&dir, task, Split::Test).unwrap()
}

fn write(task: &dyn Task, data: &Dataset, predictions: &[&str]) -> (String, Submitted) {
    let predictions: Vec<_> = predictions.iter().map(|&p| p.to_owned()).collect();
    let mut out = Vec::new();
    let submitted = write_submission(task, &data.examples, &predictions, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), submitted)
}

#[test]
fn glue_takes_tables() {
    let mut mnli = test_set(&Mnli);
    for id in ["1", "7"] {
        let mut example = mnli.examples[0].clone();
        id.clone_into(&mut example.id);
        example.group = id.parse().unwrap();
        mnli.examples.push(example);
    }
    let (text, submitted) = write(&Mnli, &mnli, &[" entailment\n", "maybe", "neutral"]);
    assert_eq!(
        text,
        "index\tprediction\n0\tentailment\n1\tneutral\n7\tneutral\n"
    );
    assert_eq!((submitted.written, submitted.replaced), (3, 1));

    let qqp = test_set(&Qqp);
    for (prediction, label, replaced) in [
        ("is_duplicate", "1", 0),
        ("not_duplicate", "0", 0),
        ("", "1", 1),
    ] {
        let (text, submitted) = write(&Qqp, &qqp, &[prediction]);
        assert_eq!(text, format!("index\tprediction\n0\t{label}\n"));
        assert_eq!(submitted.replaced, replaced);
    }
}

#[test]
fn superglue_takes_one_line_for_each_query() {
    let data = test_set(&Record);
    let (text, submitted) = write(&Record, &data, &["Zo\u{e9} \"Z\"", " Rome"]);
    assert_eq!(
        text,
        "{\"idx\":7,\"label\":\"Zoé \\\"Z\\\"\"}\n{\"idx\":8,\"label\":\"Rome\"}\n"
    );
    assert_eq!(submitted.written, 2);

    // Two answers make two examples of one query; the first prediction counts.
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let train = read_split(&dir, &Record, Split::Train).unwrap();
    let (text, submitted) = write(&Record, &train, &["Ann", "Zoé", "Rome"]);
    assert_eq!(
        text,
        "{\"idx\":0,\"label\":\"Ann\"}\n{\"idx\":1,\"label\":\"Rome\"}\n"
    );
    assert_eq!(submitted.written, 2);
}

#[test]
fn squad_takes_one_object() {
    let data = test_set(&Squad2);
    let (text, _) = write(&Squad2, &data, &["France", "no answer", "no \"one\""]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "56ddde6b9a695914005b9628": "France",
            "5ad39d53604f3c001a3fe8d1": "",
            "5ad39d53604f3c001a3fe8d2": "no \"one\"",
        })
    );
}

#[test]
fn summaries_are_lines() {
    let data = test_set(&Xsum);
    let (text, _) = write(&Xsum, &data, &["A choir\nhas  won. "]);
    assert_eq!(text, "A choir has won.\n");
}

#[test]
fn files_have_the_leaderboards_names() {
    let tasks = Tasks::paper();
    let names: Vec<_> = tasks.iter().map(|task| task.submission().file).collect();
    assert_eq!(
        names,
        [
            "MNLI-m.tsv",
            "QQP.tsv",
            "predictions.json",
            "ReCoRD.jsonl",
            "xsum.txt"
        ]
    );
}

#[test]
fn what_no_leaderboard_takes_is_refused() {
    let submit = |task: &dyn Task, data: &Dataset, count: usize| {
        let predictions = vec!["x".to_owned(); count];
        write_submission(task, &data.examples, &predictions, &mut Vec::new())
            .unwrap_err()
            .to_string()
    };
    let mut qqp = test_set(&Qqp);
    assert_eq!(
        submit(&Qqp, &qqp, 2),
        "2 predictions for 1 examples; give one for each, in order"
    );
    "7a".clone_into(&mut qqp.examples[0].id);
    assert_eq!(
        submit(&Qqp, &qqp, 1),
        "example `7a` has no whole number for an id, which the qqp leaderboard needs"
    );
    let mut squad = test_set(&Squad2);
    squad.examples[1].id = squad.examples[0].id.clone();
    assert_eq!(
        submit(&Squad2, &squad, 3),
        "two examples have the id `56ddde6b9a695914005b9628`"
    );

    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("disk full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for task in Tasks::paper().iter() {
        let data = test_set(task);
        let predictions = vec!["neutral".to_owned(); data.examples.len()];
        let error = write_submission(task, &data.examples, &predictions, &mut Full).unwrap_err();
        let SubmitError::Io(cause) = error else {
            panic!("{task:?}: {error}");
        };
        assert_eq!(cause.to_string(), "disk full");
    }
}
