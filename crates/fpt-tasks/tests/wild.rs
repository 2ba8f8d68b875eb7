//! Files as people have them, which are not quite as the formats say.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use fpt_tasks::{CheckOptions, Dataset, Gold, Mnli, Record, Squad2, Task, Xsum, check_from};

fn read(task: &dyn Task, name: &str, text: &str) -> Dataset {
    task.read_from(&mut text.as_bytes(), Path::new(name))
        .unwrap()
}

fn question(id: &str, answers: &str) -> String {
    format!(
        r#"{{"data": [{{"document_id": 7, "paragraphs": [{{"context": "Anna lives in Kiel.", "qas": [
            {{"id": {id}, "question": "Where?", {answers}}}]}}]}}]}}"#
    )
}

/// As `DataFrame.to_csv(sep="\t")` writes a table: a header, cells in quotes where they need them.
const PANDAS: &str = "document\tsummary\n\
    \"The mayor of Kiel opened a bridge.\nIt had been closed since May.\"\tA bridge in Kiel is open again.\n\
    \"Anna said \"\"we won\"\" after the match in Hull.\"\tAnna won a match in Hull.\n\
    A plain article [SEP] about rain in Dover.\t\"Rain\tfell in Dover.\"\n";

#[test]
fn a_table_with_a_header_is_read_as_programs_write_tables() {
    let expected = [
        (
            "The mayor of Kiel opened a bridge. It had been closed since May.",
            "A bridge in Kiel is open again.",
        ),
        (
            "Anna said \"we won\" after the match in Hull.",
            "Anna won a match in Hull.",
        ),
        (
            "A plain article about rain in Dover.",
            "Rain\tfell in Dover.",
        ),
    ];
    let check = |text: &str| {
        let data = read(&Xsum, "xsum_train.tsv", text);
        let found = data.examples.iter();
        let found = found.map(|e| (e.source.as_str(), e.target.as_deref().unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(data.warnings.count(), 0, "{}", data.warnings);
        data.examples[2].id.clone()
    };
    assert_eq!(check(PANDAS), "2");
    assert_eq!(
        check(&PANDAS.replace('\n', "\r\n").replacen("[SEP]\r\n", "", 1)),
        "2"
    );
    // With the index that pandas writes unless it is told not to, and an id.
    let rows = PANDAS
        .replacen("document\tsummary", "\u{feff}\t\"summary\"\tDocument\tid", 1)
        .replacen(
            "\"The mayor of Kiel opened a bridge.\nIt had been closed since May.\"\tA bridge in Kiel is open again.",
            "0\tA bridge in Kiel is open again.\t\"The mayor of Kiel opened a bridge.\nIt had been closed since May.\"\t7",
            1,
        )
        .replacen(
            "\"Anna said \"\"we won\"\" after the match in Hull.\"\tAnna won a match in Hull.",
            "1\tAnna won a match in Hull.\t\"Anna said \"\"we won\"\" after the match in Hull.\"\t8",
            1,
        )
        .replacen(
            "A plain article [SEP] about rain in Dover.\t\"Rain\tfell in Dover.\"",
            "2\t\"Rain\tfell in Dover.\"\tA plain article [SEP] about rain in Dover.\t9",
            1,
        );
    assert_eq!(check(&rows), "9");
}

#[test]
fn what_is_wrong_in_a_quoted_table_is_told_with_its_line() {
    let text = "document\tsummary\n\"a\nb\"\tc\nd\n\te\nf\tg\n";
    let data = read(&Xsum, "x.tsv", text);
    assert_eq!(data.examples.len(), 2);
    assert_eq!(
        data.warnings.to_string(),
        "x.tsv:4: 1 columns instead of 2; skipped\nx.tsv:5: empty document or summary; skipped"
    );
    let bytes = b"document\tsummary\na\tb\n\xff\tc\n";
    let error = Xsum
        .read_from(&mut &bytes[..], Path::new("x.tsv"))
        .unwrap_err();
    assert!(error.to_string().starts_with("x.tsv:3"), "{error}");
}

#[test]
fn quotes_that_are_text_are_told_where_they_look_as_if_they_were_not() {
    let row = |cells: &str| format!("{cells}\n");
    let warnings = |text: &str| read(&Xsum, "x.tsv", text).warnings.to_string();
    let doubled = row("\"Anna said \"\"we won\"\".\"\tAnna won.") + &row("a\tb");
    assert!(warnings(&doubled).starts_with("x.tsv:1: 1 cells begin and end with a quote"));
    let all = row("\"a\"\t\"b\"") + &row("\"c\"\t\"d\"");
    assert!(warnings(&all).starts_with("x.tsv:1: 4 cells begin and end with a quote"));
    // A quotation is only worth a note, where the file itself is looked at.
    let quotation = row("a\tb") + &row("\"We won.\"\tAnna won.");
    assert_eq!(warnings(&quotation), "");
    let options = CheckOptions::default();
    let report = check_from(
        &Xsum,
        &mut quotation.as_bytes(),
        Path::new("x.tsv"),
        &options,
    )
    .unwrap();
    let told = report.to_string();
    assert!(
        told.starts_with("x.tsv:2: note: 1 cells begin and end with a quote"),
        "{told}"
    );

    let mnli = "gold_label\tsentence1\tsentence2\nneutral\t\"a \"\"b\"\"\"\tc\n";
    let data = read(&Mnli, "m.tsv", mnli);
    assert!(
        data.warnings.to_string().contains("without"),
        "{}",
        data.warnings
    );
}

#[test]
fn answers_without_words_are_none() {
    for (answers, warnings) in [
        (
            r#""is_impossible": true, "answers": [{"text": "", "answer_start": -1}]"#,
            1,
        ),
        (r#""answers": [{"text": " "}]"#, 1),
        (
            r#""answers": [{"text": "The"}, {"text": "-"}], "is_impossible": false"#,
            2,
        ),
        (r#""answers": [], "is_impossible": true"#, 0),
    ] {
        let data = read(&Squad2, "s.json", &question("\"q\"", answers));
        let example = &data.examples[0];
        assert_eq!(example.target.as_deref(), Some("no answer"), "{answers}");
        assert_eq!(example.gold, Gold::Answers(vec![]));
        assert_eq!(data.warnings.count(), warnings, "{}", data.warnings);
    }
    let some = r#""answers": [{"text": ""}, {"text": "Kiel"}, {"text": "Kiel"}]"#;
    let data = read(&Squad2, "s.json", &question("\"q\"", some));
    assert_eq!(data.examples[0].target.as_deref(), Some("Kiel"));
    assert_eq!(data.examples[0].gold, Gold::Answers(vec!["Kiel".into()]));
    assert_eq!(
        data.warnings.to_string(),
        "s.json: question `q`: 1 of its answers have no words (``); they count as none"
    );

    let record = r#"{"passage": {"text": "Anna won.", "entities": [{"start": 0, "end": 3}]}, "qas": [
        {"query": "@placeholder won", "answers": [{"text": " "}]},
        {"query": "@placeholder lost", "answers": [{"text": ""}, {"text": "Anna"}]}]}"#;
    let data = read(&Record, "r.jsonl", &record.replace('\n', ""));
    assert_eq!(data.examples.len(), 1);
    assert_eq!(data.examples[0].gold, Gold::Answers(vec!["Anna".into()]));
    assert!(
        data.warnings.to_string().contains("no answers; skipped"),
        "{}",
        data.warnings
    );
}

#[test]
fn ids_may_be_numbers() {
    let answers = r#""answers": [{"answer_id": 1, "text": "Kiel", "answer_start": 14}], "is_impossible": false"#;
    let id = |id: &str| {
        read(&Squad2, "s.json", &question(id, answers)).examples[0]
            .id
            .clone()
    };
    assert_eq!(id("262814"), "262814");
    assert_eq!(id("\"56be\""), "56be");
    let error = Squad2
        .read_from(
            &mut question("[1]", answers).as_bytes(),
            Path::new("s.json"),
        )
        .unwrap_err();
    assert!(
        error.to_string().contains("neither a string nor a number"),
        "{error}"
    );

    let record = r#"{"passage": {"text": "Anna won.", "entities": [{"start": 0, "end": 3}]}, "qas": [{"query": "@placeholder won", "answers": [{"text": "Anna"}], "idx": "a7"}]}"#;
    assert_eq!(read(&Record, "r.jsonl", record).examples[0].id, "a7");
}
