//! The metrics of declared tasks against scikit-learn, sacrebleu and scipy, by the fixture that
//! `oracle/make_declared.py` writes.

#![allow(clippy::unwrap_used)]

use approx::assert_abs_diff_eq;
use fpt_tasks::metrics::bleu::bleu;
use fpt_tasks::metrics::correlation::{pearson, spearman};
use fpt_tasks::metrics::{Confusion, LabelScores};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixtures {
    labels: Vec<Labels>,
    bleu: Vec<Corpus>,
    correlations: Vec<Numbers>,
}

#[derive(Deserialize)]
struct Labels {
    labels: Vec<String>,
    gold: Vec<String>,
    predicted: Vec<String>,
    accuracy: f64,
    macro_f1: f64,
    mcc: f64,
    by_label: Vec<(f64, f64, f64, usize)>,
}

#[derive(Deserialize)]
struct Corpus {
    gold: Vec<String>,
    predicted: Vec<String>,
    bleu: f64,
}

#[derive(Deserialize)]
struct Numbers {
    pairs: Vec<(f64, f64)>,
    pearson: f64,
    spearman: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("oracle/declared.json")).unwrap()
}

fn pairs<'a>(
    predicted: &'a [String],
    gold: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    predicted
        .iter()
        .zip(gold)
        .map(|(p, gold)| (p.as_str(), gold.as_str()))
}

#[test]
fn labels_are_confused_as_in_scikit_learn() {
    for case in fixtures().labels {
        let known = case.labels.iter().map(String::as_str);
        let confusion = Confusion::new(known, pairs(&case.predicted, &case.gold));
        assert_eq!(confusion.labels(), case.labels);
        assert_eq!(confusion.examples(), case.gold.len());
        assert_abs_diff_eq!(confusion.accuracy(), case.accuracy, epsilon = TOLERANCE);
        assert_abs_diff_eq!(confusion.macro_f1(), case.macro_f1, epsilon = TOLERANCE);
        assert_abs_diff_eq!(confusion.mcc(), case.mcc, epsilon = TOLERANCE);
        let junk = case.predicted.iter().filter(|p| p.is_empty()).count();
        let share = 100.0 * junk as f64 / case.gold.len() as f64;
        assert_abs_diff_eq!(confusion.no_label(), share, epsilon = TOLERANCE);
        for (ours, (precision, recall, f1, support)) in
            confusion.by_label().into_iter().zip(case.by_label)
        {
            let LabelScores {
                precision: p,
                recall: r,
                f1: f,
                ..
            } = ours;
            for (ours, theirs) in [(p, precision), (r, recall), (f, f1)] {
                assert_abs_diff_eq!(ours, theirs, epsilon = TOLERANCE);
            }
            assert_eq!(ours.support, support);
        }
    }
}

#[test]
fn what_is_no_label_has_its_own_column() {
    let pairs = [
        ("good", "good"),
        ("god", "good"),
        ("bad", "good"),
        ("x", "odd"),
    ];
    let confusion = Confusion::new(["bad", "good"], pairs);
    // A right label that was not declared is one all the same.
    assert_eq!(confusion.labels(), ["bad", "good", "odd"]);
    assert_eq!(confusion.row(1), [1, 1, 0, 1]);
    assert_eq!(confusion.row(2), [0, 0, 0, 1]);
    assert_eq!(confusion.no_label(), 50.0);
    let none = Confusion::new(["a"], []);
    assert_eq!(
        (none.accuracy(), none.mcc(), none.no_label()),
        (0.0, 0.0, 0.0)
    );
}

#[test]
fn corpora_score_as_in_sacrebleu() {
    let cases = fixtures().bleu;
    for case in &cases {
        let ours = bleu(pairs(&case.predicted, &case.gold));
        assert_abs_diff_eq!(ours, case.bleu, epsilon = TOLERANCE);
    }
    let partly = |score: f64| score > 1.0 && score < 99.0;
    assert!(cases.iter().filter(|case| partly(case.bleu)).count() > 10);
    assert_eq!(bleu([]), 0.0);
}

#[test]
fn numbers_correlate_as_in_scipy() {
    for case in fixtures().correlations {
        assert_abs_diff_eq!(pearson(&case.pairs), case.pearson, epsilon = TOLERANCE);
        assert_abs_diff_eq!(spearman(&case.pairs), case.spearman, epsilon = TOLERANCE);
    }
    let constant = [(1.0, 2.0), (1.0, 3.0)];
    assert_eq!((pearson(&constant), spearman(&constant)), (0.0, 0.0));
    assert_eq!((pearson(&[]), spearman(&[])), (0.0, 0.0));
}
