//! Texts, and what transformers' tokenizers make of them.

use std::path::{Path, PathBuf};

use fpt_t5::{SpieceOptions, T5Tokenizer};
use serde::Deserialize;

/// A line of a file of cases; `make_fixture.py` says what is in it.
#[derive(Deserialize)]
pub(crate) struct Case {
    text: String,
    ids: Vec<u32>,
    /// With `legacy=False`, where that differs.
    pub fixed: Option<Vec<u32>>,
    /// Of the fast tokenizer, where that differs.
    pub fast: Option<Vec<u32>>,
    decoded: Option<String>,
}

/// A file beside this one.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenizer");
    directory.join(name)
}

/// Every case has the slow tokenizer's ids, legacy and not, and its text. Returns the cases; panics where they differ.
pub(crate) fn compare<'a>(model: &str, lines: impl Iterator<Item = &'a str>) -> Vec<Case> {
    let path = fixture(&format!("{model}.model"));
    let legacy = T5Tokenizer::from_spiece(&path).unwrap();
    let options = SpieceOptions {
        legacy: false,
        ..SpieceOptions::default()
    };
    let fixed = T5Tokenizer::from_spiece_with(&path, &options).unwrap();
    let cases: Vec<Case> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let text = &case.text;
        let mut check = |what: &str, ours: Vec<u32>, theirs: &[u32]| {
            if ours != theirs {
                wrong.push(format!(
                    "{text:?} {what}\n  ours   {ours:?}\n  theirs {theirs:?}"
                ));
            }
        };
        check("ids", legacy.encode(text).unwrap(), &case.ids);
        check(
            "fixed",
            fixed.encode(text).unwrap(),
            case.fixed.as_ref().unwrap_or(&case.ids),
        );
        let decoded = legacy.decode(&case.ids).unwrap();
        let expected = case.decoded.as_ref().unwrap_or(text);
        if decoded != *expected {
            wrong.push(format!(
                "{text:?}\n  ours   {decoded:?}\n  theirs {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} disagreements in {} texts\n{}",
        wrong.len(),
        cases.len(),
        wrong
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    cases
}
