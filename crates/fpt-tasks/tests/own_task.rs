//! A task that the crate does not know: all of its facts are its own.

#![allow(clippy::unwrap_used)]

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use fpt_tasks::metrics::classification::accuracy;
use fpt_tasks::metrics::single_answers;
use fpt_tasks::{
    CheckOptions, EvalBatches, Example, LabelColumn, Lengths, PadTo, SENTINEL, ScoreError, Scores,
    Sink, Split, Stacks, TableFormat, Task, TaskError, TaskName, Tasks, TokenBatch, check,
    read_split, tokenize, write_submission,
};

/// Is a review good or bad?
#[derive(Debug)]
struct Reviews {
    name: TaskName,
}

const TABLE: TableFormat<'_> = TableFormat {
    expected: "a table with the columns text and stars",
    id: "id",
    texts: &["text"],
    source: "review: {text}",
    label: LabelColumn {
        column: "stars",
        labels: &[("1", "bad"), ("5", "good")],
        unlabelled: Some("3"),
    },
};

const FILE: &str = "stars\ttext\tid\n5\tGreat {text}!\ta\n3\tMeh.\tb\n1\t\tc\n5\tFine.\td\n";

impl Task for Reviews {
    fn name(&self) -> TaskName {
        self.name.clone()
    }

    fn declaration(&self) -> String {
        format!("{TABLE:?}")
    }

    fn file(&self, split: Split) -> &str {
        match split {
            Split::Train => "all.tsv",
            Split::Dev => "dev.tsv",
            Split::Test => "test.tsv",
        }
    }

    fn expected(&self, _path: &Path) -> &str {
        TABLE.expected
    }

    fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        TABLE.scan(reader, path, sink)
    }

    fn max_target_length(&self) -> usize {
        4
    }

    fn reduced_stacks(&self) -> Stacks {
        Stacks::Encoder
    }

    fn label<'a>(&self, example: &'a Example) -> Option<&'a str> {
        example.target.as_deref()
    }

    fn score(&self, examples: &[Example], predictions: &[String]) -> Result<Scores, ScoreError> {
        let accuracy = accuracy(single_answers(examples, predictions)?);
        let values = [("accuracy", accuracy)];
        Ok(Scores::new("accuracy", &["accuracy"], values))
    }
}

fn reviews() -> Reviews {
    Reviews {
        name: TaskName::new("reviews").unwrap(),
    }
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("reviews")).unwrap();
    std::fs::write(directory.path().join("reviews/all.tsv"), FILE).unwrap();
    directory
}

#[test]
fn a_registry_finds_it_among_the_papers() {
    let mut tasks = Tasks::paper();
    tasks.add(Arc::new(reviews())).unwrap();
    let names: Vec<_> = tasks.names().map(TaskName::as_str).collect();
    assert_eq!(
        names,
        ["mnli", "qqp", "squad2", "record", "xsum", "reviews"]
    );
    let name = TaskName::new("reviews").unwrap();
    assert_eq!(tasks.get(&name).unwrap().max_target_length(), 4);
    let other = TaskName::new("review").unwrap();
    let message = tasks.get(&other).unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown task `review`; expected one of mnli, qqp, squad2, record, xsum, reviews"
    );
    // The paper's registry does not have it, and says so.
    let message = Tasks::paper().get(&name).unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown task `reviews`; expected one of mnli, qqp, squad2, record, xsum"
    );
    let message = tasks.add(Arc::new(reviews())).unwrap_err().to_string();
    assert_eq!(
        message,
        "there is a task `reviews` already; give yours another name"
    );
}

#[test]
fn names_are_directories_and_sort_behind_the_papers() {
    for name in ["", "a b", "a/b", "..", "é", "a\tb"] {
        let message = TaskName::new(name).unwrap_err().to_string();
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    let mut names: Vec<_> = ["zoo", "A-1_b", "xsum", "abc", "mnli"]
        .map(|name| TaskName::new(name).unwrap())
        .into();
    names.sort();
    let names: Vec<_> = names.iter().map(TaskName::as_str).collect();
    assert_eq!(names, ["mnli", "xsum", "A-1_b", "abc", "zoo"]);
    // However it was made, a name is the same name.
    assert_eq!(TaskName::new("mnli").unwrap(), TaskName::MNLI);
    let error = serde_json::from_str::<TaskName>("\"a/b\"").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`a/b` can't be the name of a task"),
        "{error}"
    );
}

#[test]
fn its_files_are_read_and_checked() {
    let directory = directory();
    let task = reviews();
    let data = read_split(directory.path(), &task, Split::Train).unwrap();
    let rows: Vec<_> = data
        .examples
        .iter()
        .map(|e| (&*e.id, &*e.source, e.target.as_deref().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [
            ("a", "review: Great {text}!", "good"),
            ("c", "review: ", "bad"),
            ("d", "review: Fine.", "good")
        ]
    );
    assert!(
        data.warnings
            .to_string()
            .ends_with("all.tsv:3: no gold label (`3`); skipped")
    );

    let path = task.path(directory.path(), Split::Train).unwrap();
    let report = check(&task, &path, &CheckOptions::default()).unwrap();
    assert_eq!((report.warnings, report.notes), (1, 1));
    assert_eq!((report.labels["good"], report.labels["bad"]), (2, 1));
    assert_eq!(report.target.as_ref().unwrap().limit, 4);
    assert!(report.to_string().contains(": reviews, 3 examples"));

    let error = |text: &str| {
        let result = task.read_from(&mut text.as_bytes(), "all.tsv".as_ref());
        result.unwrap_err().to_string()
    };
    assert_eq!(
        error("text\tstars\nFine.\t2\n"),
        "all.tsv:2: stars is `2`; expected 1, 5 or 3"
    );
    assert_eq!(
        error("text\tstars\n"),
        "all.tsv: no examples; expected a table with the columns text and stars"
    );
}

#[test]
fn it_is_batched_scored_and_handed_in() {
    let directory = directory();
    let task = reviews();
    let data = read_split(directory.path(), &task, Split::Train).unwrap();
    let encode = |text: &str| -> Result<Vec<u32>, std::fmt::Error> {
        let words = text.strip_prefix(SENTINEL).unwrap_or(text).split(' ');
        Ok(words.map(|word| word.len() as u32).chain([1]).collect())
    };
    let limits = Lengths {
        max_source: 8,
        max_target: task.max_target_length(),
    };
    let tokens = tokenize(&data.examples, encode, limits).unwrap().examples;
    let lengths: Vec<_> = tokens.iter().map(|t| t.source.len()).collect();
    let batches: Vec<_> = EvalBatches::new(&lengths, 2)
        .unwrap()
        .iter()
        .map(|indices| TokenBatch::new(&tokens, indices, PadTo::Multiple(1)))
        .collect();
    assert_eq!(batches[0].labels, [4, 1, 3, 1]);
    assert_eq!(batches.len(), 2);

    let predictions = ["good", "good", " good\n"].map(str::to_owned);
    let scores = task.score(&data.examples, &predictions).unwrap();
    assert_eq!(scores.primary_value(), 200.0 / 3.0);
    assert_eq!(scores.mean(), scores.primary_value());
    let baseline = task.baseline(&data.examples, &data.examples).unwrap();
    assert_eq!((baseline.name, baseline.value()), ("majority", 200.0 / 3.0));

    assert_eq!(task.submission().file, "reviews.txt");
    let mut out = Vec::new();
    let submitted = write_submission(&task, &data.examples, &predictions, &mut out).unwrap();
    assert_eq!(out, b"good\ngood\ngood\n");
    assert_eq!((submitted.written, submitted.replaced), (3, 0));
}

#[test]
fn the_paper_says_nothing_of_it_and_everything_of_its_own() {
    assert!(reviews().paper().is_none());
    assert!(reviews().how_to_get("data".as_ref()).is_none());
    let tasks = Tasks::paper();
    for task in tasks.iter() {
        let figures = task.paper().unwrap();
        assert_eq!(figures.t5_large.len(), 13);
        assert!(figures.score("pt") > figures.score("cr-1/4"), "{task:?}");
        assert_eq!(figures.score("fpt-hd"), None);
        let how = task.how_to_get("some/data".as_ref()).unwrap();
        assert!(how.contains("some/data"), "{how}");
    }
    let declarations: Vec<_> = tasks.iter().map(|task| task.declaration()).collect();
    assert_eq!(
        declarations,
        ["mnli 1", "qqp 1", "squad2 1", "record 1", "xsum 1"]
    );
}
