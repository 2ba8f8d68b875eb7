//! The five native formats, read from small hand-made files under `files/`, and their oddities.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fpt_tasks::{
    Dataset, Example, Gold, Lengths, Mnli, Qqp, Record, Split, Squad2, Task, TaskName, Tasks, Xsum,
    read_split, tokenize,
};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

fn read(task: &dyn Task, split: Split) -> Dataset {
    read_split(&dir(), task, split).unwrap()
}

fn read_text(task: &dyn Task, text: &str) -> Dataset {
    task.read_from(&mut text.as_bytes(), "odd".as_ref())
        .unwrap()
}

fn targets(examples: &[Example]) -> Vec<&str> {
    examples
        .iter()
        .map(|e| e.target.as_deref().unwrap())
        .collect()
}

fn answers(texts: &[&str]) -> Gold {
    Gold::Answers(texts.iter().map(|&t| t.to_owned()).collect())
}

#[test]
fn names_and_files() {
    for task in Tasks::paper().iter() {
        let name = task.name();
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert_eq!(Tasks::paper().get(&name).unwrap().name(), name);
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, format!("\"{name}\""));
        for split in Split::ALL {
            assert_eq!(split.to_string().parse(), Ok(split));
            assert!(
                task.path(&dir(), split).unwrap().is_file(),
                "{name} {split}"
            );
            assert!(!read(task, split).examples.is_empty());
        }
    }
    let unknown: TaskName = "glue".parse().unwrap();
    let error = Tasks::paper().get(&unknown).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown task `glue`; expected one of mnli, qqp, squad2, record, xsum"
    );
    let error = "val".parse::<Split>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown split `val`; expected one of train, dev, test"
    );
}

#[test]
fn mnli_finds_columns_by_name() {
    let train = read(&Mnli, Split::Train);
    assert_eq!(
        targets(&train.examples),
        ["entailment", "contradiction", "neutral", "entailment"]
    );
    // Quotes are ordinary characters.
    assert_eq!(
        train.examples[0].source,
        "hypothesis: He spoke. premise: He said \"go."
    );
    assert_eq!(train.examples[2].id, "3");
    assert_eq!(train.warnings.count(), 1);
    let warning = train.warnings.to_string();
    assert!(
        warning.ends_with("train.tsv:4: no gold label (`-`); skipped"),
        "{warning}"
    );

    let dev = read(&Mnli, Split::Dev);
    assert_eq!(targets(&dev.examples), ["neutral", "contradiction"]);

    let test = read(&Mnli, Split::Test);
    assert_eq!(test.examples[0].target, None);
    assert_eq!(test.examples[0].gold, Gold::Hidden);
}

#[test]
fn qqp_skips_broken_rows() {
    let train = read(&Qqp, Split::Train);
    assert_eq!(
        targets(&train.examples),
        ["not_duplicate", "is_duplicate", "not_duplicate"]
    );
    assert_eq!(
        train.examples[0].source,
        "question1: How is \"life\"? question2: What is life?"
    );
    assert_eq!(train.examples[2].id, "150662");
    let warning = train.warnings.to_string();
    assert!(
        warning.ends_with("train.tsv:4: 4 columns instead of 6; skipped"),
        "{warning}"
    );
    assert_eq!(read(&Qqp, Split::Test).examples[0].gold, Gold::Hidden);
}

#[test]
fn squad2_has_questions_without_answers() {
    let dev = read(&Squad2, Split::Dev);
    assert_eq!(targets(&dev.examples), ["France", "no answer"]);
    assert_eq!(dev.examples[0].gold, answers(&["France", "in France"]));
    assert_eq!(dev.examples[1].gold, answers(&[]));
    assert_eq!(dev.examples[1].id, "5ad39d53604f3c001a3fe8d1");
    assert_eq!(
        dev.examples[1].source,
        "question: Who gave their name to Italy? context: The Normans gave their name to Normandy, a region in France."
    );
    assert_eq!(dev.warnings.count(), 0);
    assert_eq!(read(&Squad2, Split::Test).examples[0].gold, Gold::Hidden);

    let odd = read_text(
        &Squad2,
        r#"{"data": [{"paragraphs": [{"context": "c", "qas":
            [{"id": "x7", "question": "q", "answers": [], "is_impossible": false}]}]}]}"#,
    );
    assert_eq!(
        odd.warnings.to_string(),
        "odd: question `x7`: is_impossible is false but there are 0 answers; the answers count"
    );
}

#[test]
fn record_trains_on_every_answer_and_evaluates_once() {
    let train = read(&Record, Split::Train);
    assert_eq!(targets(&train.examples), ["Ann", "Zoé", "Rome"]);
    let groups: Vec<_> = train.examples.iter().map(|e| e.group).collect();
    assert_eq!(groups, [0, 0, 1]);
    for example in &train.examples[..2] {
        assert_eq!(example.gold, answers(&["Ann", "Zoé"]));
        assert_eq!(
            example.source,
            "query: The singer is @placeholder entities: Zoé, Ann, Rome passage: \
             Zoé met Ann in Rome. “Ann sings”, said Zoé. Zoé and Ann are friends. Both live in Rome!"
        );
    }
    let mentions: Vec<_> = train.examples[0]
        .candidates
        .iter()
        .map(|c| c.mentions)
        .collect();
    assert_eq!(mentions, [3, 3, 2]);

    let dev = read(&Record, Split::Dev);
    assert_eq!(targets(&dev.examples), ["Ann", "Rome"]);
    assert_eq!(dev.examples[0].gold, answers(&["Ann", "Zoé"]));

    let test = read(&Record, Split::Test);
    assert_eq!(test.examples.len(), 2);
    assert_eq!(
        (test.examples[1].id.as_str(), &test.examples[1].gold),
        ("8", &Gold::Hidden)
    );

    let odd = read_text(
        &Record,
        r#"{"passage": {"text": "Ann", "entities": [{"start": 0, "end": 2}]}, "qas":
            [{"query": "a", "answers": []}, {"query": "b", "answers": [{"text": "Ann"}]}]}"#
            .replace('\n', "")
            .as_str(),
    );
    assert_eq!(
        odd.warnings.to_string(),
        "odd:1: query `0` has no answers; skipped"
    );
    assert_eq!(targets(&odd.examples), ["Ann"]);
}

#[test]
fn xsum_joins_the_parts_of_a_document() {
    let train = read(&Xsum, Split::Train);
    assert_eq!(
        train.examples[0].source,
        "The café burned down. Nobody was hurt. Police said \"arson\"."
    );
    assert_eq!(
        train.examples[0].target.as_deref(),
        Some("A café was lost in a fire.")
    );

    let odd = read_text(&Xsum, "doc\tsum\n\t\n \tx\nonly one\na\tb\tc\n");
    assert_eq!(odd.examples.len(), 1);
    // The second line, a lone tab, is blank.
    assert_eq!(odd.warnings.count(), 3);
    assert_eq!(
        odd.warnings.to_string(),
        "odd:3: empty document or summary; skipped\n\
         odd:4: 1 columns instead of 2; skipped\n\
         odd:5: 3 columns instead of 2; skipped"
    );
}

#[test]
fn xsum_reads_the_hubs_json_lines() {
    let text = r#"{"document": "One.\n\n Two. \nThree.", "summary": "A\nsummary.", "id": "35232142"}
        {"document": "One.", "summary": null, "id": 7}
        {"document": "One.", "extra": [1, {"a": null}]}
        {"document": "One.", "summary": " "}
        {"document": "", "summary": "s"}"#;
    let path = Path::new("dir/test.jsonl");
    let data = Xsum.read_from(&mut text.as_bytes(), path).unwrap();
    let rows: Vec<_> = data
        .examples
        .iter()
        .map(|e| (&*e.id, &*e.source, e.target.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("35232142", "One. Two. Three.", Some("A summary.")),
            ("7", "One.", None),
            ("2", "One.", None),
        ]
    );
    assert_eq!(data.examples[1].gold, Gold::Hidden);
    assert_eq!(
        data.warnings.to_string(),
        "dir/test.jsonl:4: empty document or summary; skipped\n\
         dir/test.jsonl:5: empty document or summary; skipped"
    );

    let error = |text: &str| {
        let result = Xsum.read_from(&mut text.as_bytes(), path);
        result.unwrap_err().to_string()
    };
    assert_eq!(
        error("{\"summary\": \"s\"}"),
        "dir/test.jsonl:1:16: missing field `document`"
    );
    assert_eq!(
        error("\n{\"document\": \"d\", \"id\": [1]}"),
        "dir/test.jsonl:2:28: the id is neither a string nor a number"
    );
    assert_eq!(
        error(""),
        "dir/test.jsonl: no examples; expected one JSON object with document, summary and id a line"
    );
}

#[test]
fn splits_have_other_names_only_where_the_own_one_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let xsum = dir.path().join("xsum");
    let path = || Xsum.path(dir.path(), Split::Dev).unwrap();
    assert_eq!(path(), xsum.join("xsum_dev.tsv"));
    std::fs::create_dir(&xsum).unwrap();
    for name in ["xsum_dev.parquet", "xsum_dev.jsonl", "xsum_dev.tsv"] {
        std::fs::write(xsum.join(name), "").unwrap();
        assert_eq!(path(), xsum.join(name));
    }
    assert_eq!(
        Qqp.path(dir.path(), Split::Dev).unwrap(),
        dir.path().join("qqp/dev.tsv")
    );
}

#[test]
fn glue_tables_have_different_widths() {
    let columns = |task: &dyn Task, split| {
        let text = std::fs::read_to_string(task.path(&dir(), split).unwrap()).unwrap();
        text.lines().next().unwrap().split('\t').count()
    };
    let widths = |task: &dyn Task| Split::ALL.map(|split| columns(task, split));
    assert_eq!(widths(&Mnli), [12, 16, 10]);
    assert_eq!(widths(&Qqp), [6, 6, 3]);
    let test = read(&Mnli, Split::Test);
    assert_eq!(
        test.examples[0].source,
        "hypothesis: Hidden hypothesis. premise: Hidden premise."
    );
    // A question that is empty, as the published QQP has some, is a question.
    let odd = read_text(&Qqp, "id\tquestion1\tquestion2\n0\t\tb\n1\ta\t\n");
    assert_eq!(odd.examples[1].source, "question1: a question2: ");
    assert_eq!((odd.examples.len(), odd.warnings.count()), (2, 0));
}

#[test]
fn entity_spans_are_inclusive_and_in_characters() {
    let odd = read_text(
        &Record,
        "{\"passage\": {\"text\": \"\u{1f3b5}é\u{301} Bo\", \"entities\": [{\"start\": 4, \"end\": 5}, \
         {\"start\": 0, \"end\": 0}]}, \"qas\": [{\"query\": \"q\"}]}",
    );
    let names: Vec<_> = odd.examples[0]
        .candidates
        .iter()
        .map(|c| &*c.text)
        .collect();
    assert_eq!(names, ["Bo", "\u{1f3b5}"]);
}

#[test]
fn plausible_answers_are_no_answers() {
    for answers in [r#""answers": [], "#, ""] {
        let text = format!(
            r#"{{"data": [{{"paragraphs": [{{"context": "c", "qas": [{{"id": "x", "question": "q", {answers}
            "is_impossible": true, "plausible_answers": [{{"text": "c", "answer_start": 0}}]}}]}}]}}]}}"#
        );
        let data = read_text(&Squad2, &text);
        let expected = match answers {
            "" => (None, Gold::Hidden),
            _ => (Some("no answer"), Gold::Answers(Vec::new())),
        };
        let example = &data.examples[0];
        assert_eq!((example.target.as_deref(), example.gold.clone()), expected);
    }
}

#[test]
fn byte_order_marks_and_carriage_returns_are_tolerated() {
    let table = "\u{feff}id\tquestion1\tquestion2\tis_duplicate\r\n\r\n5\ta\tb\t1\r\n6\tc\td\t0";
    let data = read_text(&Qqp, table);
    assert_eq!(targets(&data.examples), ["is_duplicate", "not_duplicate"]);
    assert_eq!(data.examples[0].id, "5");

    let text = std::fs::read_to_string(Squad2.path(&dir(), Split::Dev).unwrap()).unwrap();
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(read_text(&Squad2, &text), read(&Squad2, Split::Dev));
    let text = std::fs::read_to_string(Record.path(&dir(), Split::Train).unwrap()).unwrap();
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(read_text(&Record, &text), read(&Record, Split::Train));
}

#[test]
fn only_the_first_warnings_are_kept() {
    let rows = "index\tsentence1\tsentence2\tgold_label\n0\ta\tb\tneutral\n".to_owned()
        + &"1\ta\tb\t-\n".repeat(12);
    let warnings = read_text(&Mnli, &rows).warnings;
    assert_eq!((warnings.count(), warnings.first().len()), (12, 5));
    assert!(
        warnings
            .to_string()
            .ends_with("odd:7: no gold label (`-`); skipped\n... and 7 more")
    );
}

#[test]
fn baselines_predict_without_reading() {
    let baseline = |task: &dyn Task| {
        let (train, dev) = (read(task, Split::Train), read(task, Split::Dev));
        let baseline = task.baseline(&train.examples, &dev.examples).unwrap();
        (baseline.name, baseline.value())
    };
    // Always `entailment`.
    assert_eq!(baseline(&Mnli), ("majority", 0.0));
    // Always `not_duplicate`, two of three.
    assert_eq!(baseline(&Qqp), ("majority", 200.0 / 3.0));
    // Always `no answer`.
    assert_eq!(baseline(&Squad2), ("majority", 50.0));
    // Zoé for both: mentioned as often as Ann, and first.
    assert_eq!(baseline(&Record), ("most frequent entity", 50.0));
    // "A team has lost the cup." is nearest to the others; it shares 4 of its 6 words with the one
    // to predict.
    let (name, value) = baseline(&Xsum);
    assert_eq!(name, "constant");
    assert!((value - 100.0 * 4.0 / 6.0).abs() < 1e-5, "{value}");
}

#[test]
fn the_earliest_of_equally_frequent_targets_is_the_majority() {
    let qqp = Qqp;
    let dev = read(&Qqp, Split::Dev).examples;
    let mut train = read(&Qqp, Split::Train).examples;
    train.truncate(2);
    let value = |train: &[Example]| qqp.baseline(train, &dev).unwrap().value();
    assert_eq!(value(&train), 200.0 / 3.0);
    train.reverse();
    assert_eq!(value(&train), 100.0 / 3.0);
}

#[test]
fn tokens_begin_with_the_sentinel_and_end_with_the_last_one() {
    let data = read(&Squad2, Split::Dev);
    let encode = |text: &str| -> Result<Vec<u32>, std::fmt::Error> {
        Ok(text.bytes().map(u32::from).chain([1]).collect())
    };
    let limits = Lengths {
        max_source: 11,
        max_target: 19,
    };
    let tokenized = tokenize(&data.examples, encode, limits).unwrap();
    assert_eq!(
        tokenized.cuts.describe(data.examples.len(), limits),
        [
            format!(
                "{0} of {0} sources were cut to 11 tokens; the longest has {1}",
                data.examples.len(),
                data.examples
                    .iter()
                    .map(|e| e.source.len() + 1)
                    .max()
                    .unwrap()
            ),
            "1 of 2 targets were cut to 19 tokens; the longest has 22".to_owned(),
        ]
    );
    let tokens = tokenized.examples;
    let ids = |text: &str| text.bytes().map(u32::from).chain([1]).collect::<Vec<_>>();
    assert_eq!(tokens[0].source, ids("question: "));
    assert_eq!(tokens[0].target, ids("<extra_id_0>France"));
    assert_eq!(tokens[1].target, ids("<extra_id_0>no ans"));

    let hidden = read(&Squad2, Split::Test);
    let tokens = tokenize(&hidden.examples, encode, limits).unwrap().examples;
    assert!(tokens[0].target.is_empty());

    let refuse = |text: &str| -> Result<Vec<u32>, std::fmt::Error> {
        if text.contains("Italy") {
            Err(std::fmt::Error)
        } else {
            Ok(vec![1])
        }
    };
    let error = tokenize(&data.examples, refuse, limits).unwrap_err();
    assert_eq!(error.id, "5ad39d53604f3c001a3fe8d1");
}
