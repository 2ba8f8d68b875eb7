//! Our metrics against scikit-learn, transformers' SQuAD metrics, `rouge-score` and `rouge`, by
//! the fixture that `oracle/make_fixtures.py` writes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use approx::assert_abs_diff_eq;
use fpt_tasks::metrics::{paper, record, rouge, squad};
use fpt_tasks::{Example, Gold, Mnli, Qqp, Record, Scores, Squad2, Task, Xsum};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixtures {
    classification: Vec<Labels>,
    squad: Questions,
    answers: Vec<AnswerPair>,
    rouge: Vec<SummaryPair>,
    passages: Vec<Passage>,
}

#[derive(Deserialize)]
struct Labels {
    gold: Vec<String>,
    predicted: Vec<String>,
    accuracy: f64,
    f1: f64,
    paper_f1: f64,
}

#[derive(Deserialize)]
struct Questions {
    questions: Vec<Question>,
    scores: std::collections::BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    answers: Vec<String>,
    prediction: String,
}

#[derive(Deserialize)]
struct AnswerPair {
    gold: String,
    prediction: String,
    normalized: String,
    exact: f64,
    squad_f1: f64,
    record_f1: f64,
    paper_word_f1: f64,
}

#[derive(Deserialize)]
struct SummaryPair {
    gold: String,
    prediction: String,
    rouge: [f64; 4],
    paper: [f64; 3],
}

#[derive(Deserialize)]
struct Passage {
    passage: String,
    plain: String,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("oracle/metrics.json")).unwrap()
}

fn example(id: &str, answers: &[String]) -> Example {
    Example {
        id: id.to_owned(),
        source: String::new(),
        target: answers.first().cloned(),
        gold: Gold::Answers(answers.to_vec()),
        group: 0,
        candidates: Arc::default(),
    }
}

fn assert_values(scores: &Scores, expected: &[(&str, f64)]) {
    for &(name, value) in expected {
        assert_abs_diff_eq!(scores.values[name], value, epsilon = TOLERANCE);
    }
}

#[test]
fn labels_score_as_in_scikit_learn() {
    for case in fixtures().classification {
        let examples: Vec<_> = case
            .gold
            .iter()
            .map(|gold| example("", std::slice::from_ref(gold)))
            .collect();
        let scores = Qqp.score(&examples, &case.predicted).unwrap();
        assert_values(
            &scores,
            &[
                ("accuracy", case.accuracy),
                ("f1", case.f1),
                ("paper_f1", case.paper_f1),
                ("mean", (case.accuracy + case.paper_f1) / 2.0),
            ],
        );
        let scores = Mnli.score(&examples, &case.predicted).unwrap();
        assert_values(
            &scores,
            &[("accuracy", case.accuracy), ("mean", case.accuracy)],
        );
    }
}

#[test]
fn questions_score_as_in_the_official_script() {
    let Questions {
        questions,
        scores: expected,
    } = fixtures().squad;
    let examples: Vec<_> = questions
        .iter()
        .map(|q| example(&q.id, &q.answers))
        .collect();
    let predictions: Vec<_> = questions.iter().map(|q| q.prediction.clone()).collect();
    let scores = Squad2.score(&examples, &predictions).unwrap();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, &value)| (&**name, value))
        .collect();
    assert_eq!(expected.len() + 1, scores.values.len(), "all but the mean");
    assert_values(&scores, &expected);
    assert_eq!(scores.primary_value(), scores.values["paper_em"]);
}

#[test]
fn answers_score_as_in_the_official_scripts() {
    for case in fixtures().answers {
        let (gold, prediction) = (&*case.gold, &*case.prediction);
        let context = format!("{gold:?} {prediction:?}");
        assert_eq!(squad::normalize_answer(gold), case.normalized, "{context}");
        assert_eq!(
            record::exact_match(gold, prediction),
            case.exact,
            "{context}"
        );
        for (ours, theirs) in [
            (squad::f1(gold, prediction), case.squad_f1),
            (record::f1(gold, prediction), case.record_f1),
            (paper::word_f1(gold, prediction), case.paper_word_f1),
        ] {
            assert!(
                (ours - theirs).abs() < TOLERANCE,
                "{ours} {theirs} {context}"
            );
        }
    }
}

#[test]
fn summaries_score_as_in_both_rouge_packages() {
    for case in fixtures().rouge {
        let ours = rouge::rouge(&case.prediction, &case.gold);
        let papers = paper::rouge(&case.prediction, &case.gold);
        let ours = [
            ours.rouge_1,
            ours.rouge_2,
            ours.rouge_l,
            ours.rouge_lsum,
            papers.rouge_1,
            papers.rouge_2,
            papers.rouge_l,
        ];
        let theirs = [&case.rouge[..], &case.paper].concat();
        for (ours, theirs) in ours.iter().zip(theirs) {
            let context = format!("{:?} {:?}", case.gold, case.prediction);
            assert!(
                (ours - theirs).abs() < TOLERANCE,
                "{ours} {theirs} {context}"
            );
        }
    }
}

#[test]
fn thousands_of_blank_sentences_are_as_one() {
    let score = |count: usize| paper::rouge(&" .".repeat(count), " . .");
    let (one, many) = (score(1), score(200_000));
    assert!(one.rouge_l > 0.99);
    assert_eq!(one.rouge_l, many.rouge_l);
}

#[test]
fn passages_read_as_by_the_authors_expressions() {
    for case in fixtures().passages {
        let line = serde_json::json!({
            "passage": {"text": case.passage, "entities": []},
            "qas": [{"query": "q"}],
        });
        let data = Record
            .read_from(&mut line.to_string().as_bytes(), "val.jsonl".as_ref())
            .unwrap();
        let expected = format!("query: q entities:  passage: {}", case.plain);
        assert_eq!(data.examples[0].source, expected);
    }
}

#[test]
fn record_takes_the_best_answer() {
    let answers = ["New York".to_owned(), "Big Apple".to_owned()];
    let examples = vec![example("0", &answers); 4];
    let predictions = ["Big Apple", "the big apple", "York", "no answer"].map(str::to_owned);
    let scores = Record.score(&examples, &predictions).unwrap();
    let third = 2.0 / 3.0;
    assert_values(
        &scores,
        &[
            ("paper_em", 25.0),
            ("em", 50.0),
            ("f1", 25.0 * (2.0 + third)),
            ("paper_f1", 25.0 * (1.0 + third)),
            ("mean", 12.5 * (2.0 + third)),
        ],
    );
}

#[test]
fn xsum_averages_over_examples() {
    let gold = ["A team won.".to_owned()];
    let examples = vec![example("0", &gold); 2];
    let predictions = ["a team lost".to_owned(), "A team won.".to_owned()];
    let scores = Xsum.score(&examples, &predictions).unwrap();
    assert_abs_diff_eq!(
        scores.values["rouge_1"],
        50.0 * (1.0 + 2.0 / 3.0),
        epsilon = TOLERANCE
    );
    assert_abs_diff_eq!(scores.values["rouge_l"], scores.values["rouge_lsum"]);
    // Case counts for the authors: only `team` is shared.
    assert_abs_diff_eq!(
        scores.primary_value(),
        50.0 * (1.0 + 1.0 / 3.0),
        epsilon = 1e-5
    );
    assert_eq!(scores.primary, "paper_rouge_l");
}
