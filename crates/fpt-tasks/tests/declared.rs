//! Declared tasks: their files, templates, splits and scores, and what is refused.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use fpt_tasks::declared::{Files, Labels, Metric, Part};
use fpt_tasks::{
    Answers, CheckOptions, Dataset, Declaration, DeclaredTask, Example, Gold, Split, Stacks, Task,
    TaskError, TaskName, check, check_from, read_split,
};

use proptest::prelude::*;

/// What an experiment file says of the task, in JSON.
fn declaration(json: &str) -> Declaration {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn task(json: &str) -> DeclaredTask {
    DeclaredTask::new(name(), declaration(json)).unwrap()
}

fn name() -> TaskName {
    TaskName::new("reviews").unwrap()
}

/// Why a declaration makes no task.
fn refused(json: &str) -> String {
    DeclaredTask::new(name(), declaration(json))
        .unwrap_err()
        .to_string()
}

const REVIEWS: &str = r#"{
    "files": {"train": "reviews.csv", "dev": "dev.csv"},
    "source": "review: {{ text }}", "target": "{{ stars }}",
    "labels": {"1": "bad", "2": "fair", "3": "good"},
    "metrics": ["accuracy", "macro_f1", "mcc"]
}"#;

fn read(task: &DeclaredTask, path: &str, text: &str) -> Result<Dataset, TaskError> {
    task.read_from(&mut text.as_bytes(), Path::new(path))
}

fn rows(data: &Dataset) -> Vec<(&str, &str, Option<&str>)> {
    let examples = data.examples.iter();
    examples
        .map(|e| (e.id.as_str(), e.source.as_str(), e.target.as_deref()))
        .collect()
}

#[test]
fn the_same_rows_come_out_of_every_format() {
    let task = task(REVIEWS);
    let expected = [
        ("0", "review: Good, cheap\nand \"fast\".", Some("good")),
        ("1", "review: Mäh", Some("bad")),
    ];
    for (path, text) in [
        (
            "a.csv",
            "stars,text\n3,\"Good, cheap\nand \"\"fast\"\".\"\n1,Mäh\n",
        ),
        // A byte-order mark, CRLF, the semicolons of a spreadsheet, and a column that nobody asked for.
        (
            "a.CSV",
            "\u{feff}text;price;stars\r\n\"Good, cheap\nand \"\"fast\"\".\";1,5;3\r\nMäh;2;1\r\n",
        ),
        (
            "a.tsv",
            "text\tstars\n\"Good, cheap\nand \"\"fast\"\".\"\t3\nMäh\t1\n",
        ),
        (
            "a.jsonl",
            "{\"text\": \"Good, cheap\\nand \\\"fast\\\".\", \"stars\": 3}\n\n{\"stars\": \"1\", \"text\": \"Mäh\", \"more\": [1]}\n",
        ),
        (
            "a.json",
            "\u{feff} [\n{\"text\": \"Good, cheap\\nand \\\"fast\\\".\", \"stars\": 3},\n{\"stars\": 1, \"text\": \"Mäh\"}]",
        ),
        (
            "a.json",
            "{\"text\": \"Good, cheap\\nand \\\"fast\\\".\", \"stars\": 3}\n{\"stars\": 1, \"text\": \"Mäh\"}\n",
        ),
    ] {
        let data = read(&task, path, text).unwrap();
        assert_eq!(rows(&data), expected, "{path}: {text}");
        assert_eq!(data.warnings.count(), 0);
        assert_eq!(data.examples[1].gold, Gold::Answers(vec!["bad".to_owned()]));
    }
}

#[test]
fn templates_reach_all_that_a_row_has() {
    let task = task(
        r#"{"files": "a.jsonl", "holdout": {"dev": 0.5},
            "source": "{{ row[\"a b\"] | upper }} {% for x in list %}{{ x }};{% endfor %} {{ deep.er }}{% if n is defined and n > 1 %} many{% endif %}",
            "target": "{{ answer }}"}"#,
    );
    let text =
        r#"{"a b": "x", "list": [1, "two"], "deep": {"er": true}, "answer": 1.5, "id": 7, "n": 2}"#;
    let data = read(&task, "a.jsonl", text).unwrap();
    assert_eq!(rows(&data), [("7", "X 1;two; True many", Some("1.5"))]);
    assert_eq!(task.answers(), Answers::Generated);
    assert_eq!(task.reduced_stacks(), Stacks::Both);
    assert_eq!(task.max_target_length(), 64);
}

#[test]
fn what_is_not_there_is_nothing() {
    let task = task(REVIEWS);
    // No column, blank cells, null: the answer is hidden, and a null is not the word `none`.
    for (path, text) in [
        ("a.csv", "text\nGood\n"),
        ("a.csv", "text,stars\nGood, \n"),
        ("a.jsonl", "{\"text\": \"Good\", \"stars\": null}"),
        ("a.jsonl", "{\"text\": \"Good\"}"),
    ] {
        let data = read(&task, path, text).unwrap();
        assert_eq!(rows(&data), [("0", "review: Good", None)], "{text}");
        assert_eq!(data.examples[0].gold, Gold::Hidden);
    }
    let data = read(&task, "a.jsonl", "{\"text\": null, \"stars\": 1}").unwrap();
    assert_eq!(rows(&data), [("0", "review: ", Some("bad"))]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.csv");
    std::fs::write(&path, "text,stars\n,3\nx,2\n").unwrap();
    let report = check(&task, &path, &CheckOptions::default()).unwrap();
    assert_eq!((report.notes, report.empty_fields["text"]), (1, 1));
    assert_eq!(
        report.labels,
        BTreeMap::from([("fair".into(), 1), ("good".into(), 1)])
    );
}

#[test]
fn rows_that_make_no_sense_are_named() {
    let task = task(REVIEWS);
    let error = |path, text| read(&task, path, text).unwrap_err().to_string();
    for (path, text, expected) in [
        (
            "a.csv",
            "text,stars\nGood,3\nBad,7\n",
            "a.csv:3: the target is `7`, which is no label; `labels` has 1, 2, 3",
        ),
        (
            "a.csv",
            "review,stars\nGood,3\n",
            "a.csv:1: no column `text` in the header (review, stars)",
        ),
        (
            "a.csv",
            "text,stars,text\nGood,3,x\n",
            "a.csv:1: two columns are called `text`",
        ),
        (
            "a.jsonl",
            "{\"text\": \"x\"}\n{\"body\": \"x\", \"n\": 1}\n",
            "a.jsonl:2: there is no `text`; found body, n",
        ),
        ("a.jsonl", "{\"text\": \n", "a.jsonl:1:"),
        ("a.json", "[{\"text\": \"x\"},\n[1]]", "a.json:2:"),
        ("a.json", "[{\"text\": \"x\"},\n", "a.json:"),
        ("a.txt", "text\nGood\n", "rename the file to .csv"),
        ("a.csv", "", "no examples"),
        (
            "a.csv",
            "text,stars\nGood,1\n\"never closed,2\nBad,3\n",
            "a.csv:3: a quote is opened here or below and never closed",
        ),
    ] {
        let message = error(path, text);
        assert!(message.contains(expected), "{message}");
    }
    // A check goes on and finds them all.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.csv");
    std::fs::write(&path, "text,stars\nGood,3\nBad,7\nx\nFine,8\n").unwrap();
    let report = check(&task, &path, &CheckOptions::default()).unwrap();
    assert_eq!((report.errors, report.warnings, report.examples), (2, 1, 1));
}

#[test]
fn declarations_that_make_no_sense_are_named() {
    let with = |change: &str| {
        let mut json: serde_json::Value = serde_json::from_str(REVIEWS).unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            json[key] = value.clone();
        }
        refused(&json.to_string())
    };
    for (change, expected) in [
        (
            r#"{"source": "{{ text"}"#,
            "`tasks.reviews.source` syntax error",
        ),
        (
            r#"{"source": "review"}"#,
            "`tasks.reviews.source` names no column",
        ),
        (
            r#"{"target": "{{ stars | nofilter }}"}"#,
            "`tasks.reviews.target` unknown filter",
        ),
        (
            r#"{"labels": ["good"]}"#,
            "`tasks.reviews.labels` needs at least two",
        ),
        (
            r#"{"labels": {"1": "a", "2": "a"}}"#,
            "has the word `a` twice",
        ),
        (
            r#"{"labels": {"1": "a", "2": " b"}}"#,
            "has blanks around it",
        ),
        (
            r#"{"labels": null}"#,
            "`tasks.reviews.metrics` has macro_f1, which needs `labels`",
        ),
        (
            r#"{"labels": null, "metrics": [], "answer": "labels"}"#,
            "there are no `labels` to score",
        ),
        (
            r#"{"metrics": ["f1"]}"#,
            "take macro_f1, or name the label with `positive`",
        ),
        (
            r#"{"positive": "4"}"#,
            "`tasks.reviews.positive` is `4`, but `labels` has 1, 2, 3",
        ),
        (
            r#"{"metrics": ["pearson"]}"#,
            "has pearson, which is of numbers, but the labels are words",
        ),
        (
            r#"{"files": "a.csv"}"#,
            "`tasks.reviews.files` has no dev examples",
        ),
        (
            r#"{"holdout": {"dev": 0.1}}"#,
            "`tasks.reviews.holdout` sets dev aside, which has a file of its own",
        ),
        (
            r#"{"max_target": 0}"#,
            "`tasks.reviews.max_target` must be at least 1",
        ),
    ] {
        let message = with(change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_is_no_declaration_is_named() {
    for (json, expected) in [
        (
            r#"{"files": 3, "source": "", "target": ""}"#,
            "a file, or { train",
        ),
        (
            r#"{"files": {"training": "a"}, "source": "", "target": ""}"#,
            "unknown field `training`",
        ),
        (
            r#"{"files": "a", "holdout": {"dev": 1.5}, "source": "", "target": ""}"#,
            "a share between 0 and 1",
        ),
        (
            r#"{"files": "a", "holdout": {"dev": -5}, "source": "", "target": ""}"#,
            "or a number of rows",
        ),
        (
            r#"{"files": "a", "metrics": ["auc"], "source": "", "target": ""}"#,
            "unknown variant `auc`",
        ),
        (
            r#"{"files": "a", "sources": "", "target": ""}"#,
            "unknown field `sources`",
        ),
    ] {
        let message = serde_json::from_str::<Declaration>(json)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// A file of so many rows, of which every third is good, every tenth a repetition of the one before.
fn many(rows: usize, reverse: bool) -> String {
    let mut lines: Vec<String> = (0..rows)
        .map(|row| {
            let text = row - usize::from(row % 10 == 9);
            format!("text {text},{}\n", if text % 3 == 0 { 3 } else { 1 })
        })
        .collect();
    if reverse {
        lines.reverse();
    }
    format!("text,stars\n{}", lines.concat())
}

#[test]
fn splits_out_of_one_file_share_no_source_and_spread_the_labels() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.csv");
    let held_out = |holdout: &str| {
        let mut declaration = declaration(REVIEWS);
        declaration.files = Files {
            train: path.clone(),
            dev: None,
            test: None,
        };
        declaration.holdout = Some(serde_json::from_str(holdout).unwrap());
        DeclaredTask::new(name(), declaration).unwrap()
    };
    let splits = |task: &DeclaredTask| {
        Split::ALL.map(|split| {
            let data = read_split(Path::new("nowhere"), task, split);
            data.map(|data| data.examples).unwrap_or_default()
        })
    };
    std::fs::write(&path, many(300, false)).unwrap();
    let task = held_out(r#"{"dev": 0.1, "test": 30}"#);
    let [train, dev, test] = splits(&task);
    let sources =
        |part: &[Example]| -> HashSet<String> { part.iter().map(|e| e.source.clone()).collect() };
    assert_eq!(train.len() + dev.len() + test.len(), 300);
    // 270 sources: a tenth, and 30.
    assert_eq!((sources(&dev).len(), sources(&test).len()), (27, 30));
    assert!(sources(&train).is_disjoint(&sources(&dev)));
    assert!(sources(&train).is_disjoint(&sources(&test)));
    assert!(sources(&dev).is_disjoint(&sources(&test)));
    for part in [&dev, &test] {
        let good = part.iter().filter(|e| e.target.as_deref() == Some("good"));
        let share = good.count() as f64 / part.len() as f64;
        assert!((0.25..0.42).contains(&share), "{share}");
    }
    // Neither the order of the rows nor a second look changes it, another seed does.
    std::fs::write(&path, many(300, true)).unwrap();
    assert_eq!(sources(&splits(&task)[1]), sources(&dev));
    let other = held_out(r#"{"dev": 0.1, "test": 30, "seed": 1}"#);
    assert_ne!(sources(&splits(&other)[1]), sources(&dev));
    // Without a part for test there is none, and it is said.
    let task = held_out(r#"{"dev": 5}"#);
    assert_eq!(task.path(Path::new(""), Split::Test), None);
    let error = read_split(Path::new(""), &task, Split::Test).unwrap_err();
    assert!(
        error.to_string().contains("no test split; name a file"),
        "{error}"
    );
    // All held out.
    let task = held_out(r#"{"dev": 300}"#);
    let error = read_split(Path::new(""), &task, Split::Train).unwrap_err();
    assert!(
        error.to_string().contains("all rows are held out"),
        "{error}"
    );
}

#[test]
fn a_holdout_serves_only_splits_without_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("train.csv"), many(40, false)).unwrap();
    std::fs::write(file("dev.csv"), "text,stars\nx,1\ny,\nz,3\n").unwrap();
    let mut declaration = declaration(REVIEWS);
    declaration.files = Files {
        train: file("train.csv"),
        dev: Some(file("dev.csv")),
        test: None,
    };
    declaration.holdout = Some(serde_json::from_str(r#"{"test": 0.25}"#).unwrap());
    let task = DeclaredTask::new(name(), declaration).unwrap();
    let size = |split| {
        read_split(Path::new(""), &task, split)
            .unwrap()
            .examples
            .len()
    };
    assert!(size(Split::Train) + size(Split::Test) == 40 && size(Split::Test) > 8);
    // A row without a target is left out, and told.
    let dev = read_split(Path::new(""), &task, Split::Dev).unwrap();
    assert_eq!(dev.examples.len(), 2);
    let warning = dev.warnings.to_string();
    assert!(
        warning.ends_with("dev.csv: row `1`: has no target; left out"),
        "{warning}"
    );
    std::fs::write(file("dev.csv"), "text\nx\n").unwrap();
    let error = read_split(Path::new(""), &task, Split::Dev).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("dev.csv: no row has a target, which is made of stars"),
        "{error}"
    );
}

#[test]
fn scores_are_those_that_are_named() {
    let task = task(REVIEWS);
    let text = "text,stars\na,1\nb,2\nc,3\nd,3\n";
    let examples = read(&task, "a.csv", text).unwrap().examples;
    let answers = ["bad", "bad", " good", "gut"].map(str::to_owned);
    let scores = task.score(&examples, &answers).unwrap();
    assert_eq!(scores.primary, "accuracy");
    assert_eq!((scores.primary_value(), scores.mean()), (50.0, 50.0));
    let names: Vec<_> = scores.values.keys().map(String::as_str).collect();
    assert_eq!(names, ["accuracy", "macro_f1", "mcc", "mean"]);
    assert_eq!(task.labels(), ["bad", "fair", "good"]);
    assert_eq!(
        (task.answers(), task.max_target_length()),
        (Answers::Ranked, 10)
    );
    assert_eq!(task.reduced_stacks(), Stacks::Encoder);
    assert_eq!(task.is_right(&examples[2], "good "), Some(true));
    assert_eq!(
        (task.as_in_files("good "), task.as_in_files("gut")),
        (Some("3"), None)
    );
    let baseline = task.baseline(&examples, &examples).unwrap();
    assert_eq!((baseline.name, baseline.value()), ("majority", 50.0));

    let mut numbers = declaration(
        r#"{"files": "a.csv", "holdout": {"dev": 1}, "source": "{{ a }}", "target": "{{ b }}",
            "metrics": ["pearson", "spearman", "bleu", "rougeL", "token_f1", "exact_match"]}"#,
    );
    assert_eq!(numbers.metrics[3], Metric::RougeL);
    let of = |declaration: &Declaration| DeclaredTask::new(name(), declaration.clone()).unwrap();
    let task = of(&numbers);
    let examples = read(&task, "a.csv", "a,b\nx,1\ny,2.5\nz,4\n")
        .unwrap()
        .examples;
    let answers = ["1", "3", "many"].map(str::to_owned);
    let scores = task.score(&examples, &answers).unwrap();
    // Of (1, 1), (3, 2.5), (-1, 4).
    for name in ["pearson", "spearman"] {
        assert!((scores.values[name] + 50.0).abs() < 1e-9, "{scores:?}");
    }
    assert!((scores.values["exact_match"] - 100.0 / 3.0).abs() < 1e-9);
    let error = read(&task, "a.csv", "a,b\nx,much\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`much`, which is no number, but pearson is of numbers"),
        "{error}"
    );
    numbers.metrics = vec![Metric::Rouge1];
    let long = format!("a,b\nx,{}\n", "word ".repeat(2000));
    let error = read(&of(&numbers), "a.csv", &long).unwrap_err().to_string();
    assert!(error.contains("rouge_1 is computed of"), "{error}");
}

#[test]
fn f1_is_of_one_label() {
    let with = |positive: &str| {
        let json = format!(
            r#"{{"files": "a.csv", "holdout": {{"dev": 1}}, "source": "{{{{ a }}}}", "target": "{{{{ b }}}}",
                "labels": {{"0": "no", "1": "yes"}}, "metrics": ["f1"]{positive}}}"#
        );
        let task = task(&json);
        let examples = read(&task, "a.csv", "a,b\nx,0\ny,1\nz,1\n")
            .unwrap()
            .examples;
        let answers = ["no", "no", "yes"].map(str::to_owned);
        task.score(&examples, &answers).unwrap().primary_value()
    };
    // The last of two, unless another is named: precision 1, recall 1/2; precision 1/2, recall 1.
    assert!((with("") - 200.0 / 3.0).abs() < 1e-9);
    assert!((with(r#", "positive": "0""#) - 200.0 / 3.0).abs() < 1e-9);
    assert_eq!(with(r#", "positive": "1""#), with(""));
}

#[test]
fn a_declaration_comes_back_as_it_was() {
    let written = declaration(REVIEWS);
    let text = serde_json::to_string(&written).unwrap();
    assert_eq!(declaration(&text), written);
    let list = r#"{"files": "a.csv", "holdout": {"dev": 0.25, "test": 7, "seed": 3}, "source": "{{ a }}",
        "target": "{{ b }}", "labels": ["z", "a"], "answer": "generate", "reduce": "both", "max_target": 3}"#;
    let written = declaration(list);
    assert_eq!(
        declaration(&serde_json::to_string(&written).unwrap()),
        written
    );
    let holdout = written.holdout.unwrap();
    assert_eq!(holdout.dev, Some(Part::Share(0.25)));
    assert_eq!(holdout.test, Some(Part::Rows(7)));
    let words = ["a", "z"].map(|word| (word.to_owned(), word.to_owned()));
    assert_eq!(written.labels, Some(Labels(words.into())));
    // What it is does not depend on where its files lie.
    let here = DeclaredTask::new(name(), written.clone()).unwrap();
    let mut moved = written.clone();
    moved.files.train = PathBuf::from("elsewhere.csv");
    let there = DeclaredTask::new(name(), moved).unwrap();
    assert_eq!(Task::declaration(&here), Task::declaration(&there));
    let mut other = written;
    other.max_target = Some(4);
    let other = DeclaredTask::new(name(), other).unwrap();
    assert_ne!(Task::declaration(&here), Task::declaration(&other));
}

proptest! {
    /// Reading and checking agree, and neither panics, whatever a file holds.
    #[test]
    fn any_file_is_read_or_refused(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "text", "stars", ",", "\n", "\"", ";", "\t", "1", "7", "{", "}", "[", "]", ":", "null", "\\", "\r\n",
                    "\u{feff}", "{\"text\": \"a\", \"stars\": 1}", "text,stars\n", "a,3\n",
                ]).prop_map(|part| part.as_bytes().to_vec()),
                prop::collection::vec(any::<u8>(), 0..4),
            ],
            0..40,
        ),
        extension in prop::sample::select(vec!["csv", "tsv", "json", "jsonl"]),
    ) {
        let bytes = parts.concat();
        let task = task(REVIEWS);
        let path = PathBuf::from(format!("a.{extension}"));
        let data = task.read_from(&mut &*bytes, &path);
        let options = CheckOptions::default();
        let report = check_from(&task, &mut &*bytes, &path, &options).unwrap();
        prop_assert_eq!(report.is_readable(), data.is_ok());
        match data {
            Ok(data) => prop_assert_eq!(data.examples.len(), report.examples),
            Err(error) => prop_assert!(error.to_string().contains("a."), "{}", error),
        }
    }
}
