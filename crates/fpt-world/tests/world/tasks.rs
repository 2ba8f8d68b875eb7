//! The task files: what they claim is what their stories say.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use fpt_files::FileError;
use fpt_tasks::{Split, TaskName, Tasks, read_split};
use fpt_world::entities::{NAMES, TOWNS};
use fpt_world::fact::Fact;
use fpt_world::relation::{Relation, Slot};
use fpt_world::{TaskOptions, WorldError, write_tasks};
use serde_json::Value;
use tempfile::TempDir;

use crate::reader::{self, answers, verdict};

const OPTIONS: TaskOptions = TaskOptions {
    seed: 5,
    train: 8000,
    dev: 1000,
    test: 1000,
};

/// The files of each task, and how many examples each has.
const FILES: [(&str, [(&str, usize); 3]); 5] = [
    (
        "mnli",
        [
            ("train.tsv", 8000),
            ("dev_matched.tsv", 1000),
            ("test_matched.tsv", 1000),
        ],
    ),
    (
        "qqp",
        [("train.tsv", 8000), ("dev.tsv", 1000), ("test.tsv", 1000)],
    ),
    (
        "squad2",
        [
            ("train-v2.0.json", 8000),
            ("dev-v2.0.json", 1000),
            ("test-v2.0.json", 1000),
        ],
    ),
    (
        "record",
        [
            ("train.jsonl", 8000),
            ("val.jsonl", 1000),
            ("test.jsonl", 1000),
        ],
    ),
    (
        "xsum",
        [
            ("xsum_train.tsv", 8000),
            ("xsum_dev.tsv", 1000),
            ("xsum_test.tsv", 1000),
        ],
    ),
];

/// The task files, made once for all tests.
pub(crate) fn generated() -> &'static Path {
    static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        write_tasks(directory.path(), &OPTIONS).unwrap();
        directory
    });
    DIRECTORY.path()
}

/// All sources and targets as a model sees them, less the sentinel.
pub(crate) fn verbalised(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for task in Tasks::paper().iter() {
        for split in [Split::Train, Split::Dev, Split::Test] {
            for example in read_split(directory, task, split).unwrap().examples {
                texts.push(example.source);
                texts.push(example.target.unwrap());
            }
        }
    }
    texts
}

/// Each file of a task with its content.
fn contents(task: &str) -> Vec<(&'static str, usize, String)> {
    let (task, files) = FILES.into_iter().find(|(name, _)| *name == task).unwrap();
    files
        .into_iter()
        .map(|(file, count)| {
            let text = fs::read_to_string(generated().join(task).join(file)).unwrap();
            (file, count, text)
        })
        .collect()
}

/// The cells of each row of a file.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split('\t').collect())
        .collect()
}

/// Whether the share of `part` in `whole`, in percent, is in the range.
fn share(part: usize, whole: usize, percent: std::ops::RangeInclusive<usize>) -> bool {
    percent.contains(&(100 * part / whole))
}

/// A text from `start` on, `length` characters long.
fn characters(text: &str, start: usize, length: usize) -> String {
    text.chars().skip(start).take(length).collect()
}

#[test]
fn labels_of_mnli_are_right() {
    let mut seen = HashSet::new();
    for (file, count, text) in contents("mnli") {
        let columns = if file == "train.tsv" { 12 } else { 16 };
        let mut labels = BTreeMap::<&str, usize>::new();
        let rows = rows(&text);
        assert_eq!(rows[0][..2], ["index", "promptID"]);
        assert_eq!(rows[0][8..11], ["sentence1", "sentence2", "label1"]);
        assert_eq!(*rows[0].last().unwrap(), "gold_label");
        assert_eq!(rows.len(), count + 1);
        for row in &rows {
            assert_eq!(row.len(), columns);
        }
        for row in &rows[1..] {
            let (premise, hypothesis, label) = (row[8], row[9], row[columns - 1]);
            let claim = reader::statement(hypothesis.strip_suffix('.').unwrap());
            assert_eq!(verdict(&reader::story(premise), &claim).name(), label);
            assert!(row[10..].iter().all(|annotation| annotation == &label));
            assert!(seen.insert((premise.to_owned(), hypothesis.to_owned())));
            *labels.entry(label).or_default() += 1;
        }
        assert!(
            labels.values().all(|&n| share(n, count, 28..=38)),
            "{labels:?}"
        );
    }
}

#[test]
fn labels_of_qqp_are_right() {
    let mut seen = HashSet::new();
    let trades = [Relation::Give, Relation::Sell];
    for (file, count, text) in contents("qqp") {
        let rows = rows(&text);
        assert_eq!(
            rows[0],
            [
                "id",
                "qid1",
                "qid2",
                "question1",
                "question2",
                "is_duplicate"
            ]
        );
        assert_eq!(rows.len(), count + 1);
        // By relation of the first question, so that it does not give the label away.
        let mut duplicates = [0, 0];
        let mut totals = [0, 0];
        for row in &rows[1..] {
            let [first, second] = [row[3], row[4]].map(|q| q.strip_suffix('?').unwrap());
            assert_ne!(first, second);
            let (asked, again) = (reader::question(first), reader::question(second));
            let duplicate = asked == again;
            assert_eq!(row[5], if duplicate { "1" } else { "0" });
            let mut pair = [first.to_owned(), second.to_owned()];
            pair.sort_unstable();
            assert!(seen.insert(pair));
            let group = usize::from(trades.contains(&asked.relation));
            duplicates[group] += usize::from(duplicate);
            totals[group] += 1;
        }
        for (duplicates, total) in duplicates.into_iter().zip(totals) {
            assert!(
                share(duplicates, total, 42..=58),
                "{file}: {duplicates} of {total}"
            );
        }
        assert!(share(duplicates.iter().sum(), count, 45..=55), "{file}");
    }
}

#[test]
fn answers_of_squad_are_right() {
    let mut seen = HashSet::new();
    for (file, count, text) in contents("squad2") {
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["version"], "v2.0");
        let (mut all, mut impossible) = (0, 0);
        let paragraphs = json["data"].as_array().unwrap().iter().flat_map(|article| {
            assert!(article["title"].is_string());
            article["paragraphs"].as_array().unwrap()
        });
        for paragraph in paragraphs {
            let context = paragraph["context"].as_str().unwrap();
            let story = reader::story(context);
            for qa in paragraph["qas"].as_array().unwrap() {
                let question = qa["question"].as_str().unwrap();
                let asked = reader::question(question.strip_suffix('?').unwrap());
                let golds = qa["answers"].as_array().unwrap();
                let texts: Vec<&str> = golds.iter().map(|a| a["text"].as_str().unwrap()).collect();
                assert_eq!(answers(&story, &asked), texts, "{context} {question}");
                assert_eq!(qa["is_impossible"], texts.is_empty());
                for answer in golds {
                    let text = answer["text"].as_str().unwrap();
                    let start = answer["answer_start"].as_u64().unwrap() as usize;
                    assert_eq!(characters(context, start, text.chars().count()), text);
                }
                assert!(seen.insert((context.to_owned(), question.to_owned())));
                assert!(seen.insert((file.to_owned(), qa["id"].to_string())));
                all += 1;
                impossible += usize::from(texts.is_empty());
            }
        }
        assert_eq!(all, count);
        assert!(share(impossible, all, 29..=38), "{file}: {impossible}");
    }
}

#[test]
fn blanks_of_record_are_right() {
    let mut seen = HashSet::new();
    for (_, count, text) in contents("record") {
        assert_eq!(text.lines().count(), count);
        for line in text.lines() {
            let json: Value = serde_json::from_str(line).unwrap();
            let passage = json["passage"]["text"].as_str().unwrap();
            let story = reader::story(passage);
            let span = |json: &Value| {
                let [start, end] = ["start", "end"].map(|key| json[key].as_u64().unwrap() as usize);
                characters(passage, start, end + 1 - start)
            };
            let marked: Vec<_> = json["passage"]["entities"]
                .as_array()
                .unwrap()
                .iter()
                .collect();
            let entities: HashSet<String> = marked.iter().map(|entity| span(entity)).collect();
            // Every mention of a person or town is marked, once.
            let words = passage.split([' ', '.']);
            let mentions: Vec<_> = words
                .filter(|w| NAMES.contains(w) || TOWNS.contains(w))
                .collect();
            assert_eq!(mentions.len(), marked.len());
            assert_eq!(entities, mentions.into_iter().map(str::to_owned).collect());
            assert!(entities.len() >= 3);

            for qa in json["qas"].as_array().unwrap() {
                let query = qa["query"].as_str().unwrap().strip_suffix('.').unwrap();
                let golds = qa["answers"].as_array().unwrap();
                assert_eq!(golds.len(), 1);
                let answer = golds[0]["text"].as_str().unwrap();
                assert_eq!(span(&golds[0]), answer);
                for entity in &entities {
                    let people = NAMES.contains(&entity.as_str());
                    if people != NAMES.contains(&answer) {
                        continue;
                    }
                    let claim = reader::statement(&query.replace("@placeholder", entity));
                    assert_eq!(story.contains(&claim), entity == answer, "{line}");
                }
                assert!(seen.insert((passage.to_owned(), query.to_owned())));
            }
        }
    }
}

/// The event that the end of a summary tells, as `(relation, what fills it)`.
fn event<'a>(told: &[&'a str]) -> (Relation, Vec<(Slot, &'a str)>) {
    match *told {
        ["gave", "a", object, "to", q] => (Relation::Give, vec![(Slot::O, object), (Slot::Q, q)]),
        ["sold", "a", object, "to", q] => (Relation::Sell, vec![(Slot::O, object), (Slot::Q, q)]),
        ["went", "to", "a", venue] => (Relation::Go, vec![(Slot::V, venue)]),
        ["has", "a", animal] => (Relation::Pet, vec![(Slot::A, animal)]),
        ["likes", food] => (Relation::Food, vec![(Slot::F, food)]),
        _ => panic!("{told:?}"),
    }
}

#[test]
fn summaries_of_xsum_are_right() {
    let mut seen = HashSet::new();
    let mut confusable = 0;
    for (_, count, text) in contents("xsum") {
        let rows = rows(&text);
        assert_eq!(rows.len(), count);
        for row in rows {
            let [document, summary] = row[..] else {
                panic!("{row:?}");
            };
            let story = reader::story(document);
            assert_eq!(story.len(), 5);
            let words: Vec<&str> = summary.split(' ').collect();
            let ["a", job, "from", town, told @ ..] = &words[..] else {
                panic!("{summary}");
            };
            let (relation, filling) = event(told);
            let holds = |who: &str, relation: Relation, filling: &[(Slot, &str)]| {
                story.iter().any(|fact: &Fact| {
                    fact.relation == relation
                        && fact.get(Slot::P) == who
                        && filling
                            .iter()
                            .all(|(slot, value)| fact.get(*slot) == *value)
                })
            };
            let main: Vec<_> = NAMES
                .into_iter()
                .filter(|who| {
                    holds(who, Relation::Job, &[(Slot::J, job)])
                        && holds(who, Relation::Home, &[(Slot::T, town)])
                        && holds(who, relation, &filling)
                })
                .collect();
            assert_eq!(main.len(), 1, "{document} {summary}");
            let rivals = |relation| story.iter().filter(|f| f.relation == relation).count() > 1;
            confusable +=
                usize::from(rivals(Relation::Job) || rivals(Relation::Home) || rivals(relation));
            assert!(seen.insert(document.to_owned()));
        }
    }
    assert!(share(confusable, seen.len(), 70..=100), "{confusable}");
}

#[test]
fn our_readers_find_nothing_to_complain_about() {
    for task in Tasks::paper().iter() {
        for (split, count) in [
            (Split::Train, 8000),
            (Split::Dev, 1000),
            (Split::Test, 1000),
        ] {
            let data = read_split(generated(), task, split).unwrap();
            assert_eq!(data.examples.len(), count);
            assert_eq!(data.warnings, fpt_tasks::Warnings::default());
        }
    }
}

#[test]
fn the_options_decide_every_byte() {
    let write = |options: TaskOptions| -> BTreeMap<String, Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        write_tasks(directory.path(), &options).unwrap();
        let mut files = BTreeMap::new();
        for task in fs::read_dir(directory.path()).unwrap() {
            for file in fs::read_dir(task.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(directory.path()).unwrap();
                files.insert(name.display().to_string(), fs::read(&path).unwrap());
            }
        }
        files
    };
    let small = TaskOptions {
        seed: 1,
        train: 50,
        dev: 20,
        test: 20,
    };
    let first = write(small);
    // Exactly the files, no temporary ones.
    let expected: Vec<String> = FILES
        .iter()
        .flat_map(|(task, files)| files.map(|(file, _)| format!("{task}/{file}")))
        .collect();
    assert_eq!(first.len(), expected.len());
    assert!(expected.iter().all(|file| first.contains_key(file)));

    assert!(first == write(small));
    let other = write(TaskOptions { seed: 2, ..small });
    assert!(first.iter().all(|(file, content)| &other[file] != content));
    let longer = write(TaskOptions { train: 60, ..small });
    for (file, content) in &first {
        assert_eq!(file.contains("train"), &longer[file] != content, "{file}");
    }
}

#[test]
fn too_many_examples_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = write_tasks(
        directory.path(),
        &TaskOptions {
            train: 30_000,
            ..OPTIONS
        },
    )
    .unwrap_err();
    assert!(
        matches!(&error, WorldError::Exhausted { task, .. } if *task == TaskName::QQP),
        "{error}"
    );
    assert!(!directory.path().join("qqp/train.tsv").exists());
}

#[test]
fn an_unwritable_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write_tasks(&file, &OPTIONS).unwrap_err();
    assert!(matches!(error, WorldError::File(FileError::Write { .. })));
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
}
