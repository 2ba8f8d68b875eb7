//! The files that checkpoints have beside `spiece.model` (fixture: `make_beside.py`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fpt_t5::{SpieceOptions, T5Error, T5Tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cases::fixture;

/// A directory, and what transformers makes of texts and ids with it.
#[derive(Deserialize)]
struct Directory {
    name: String,
    model: String,
    files: BTreeMap<String, Value>,
    cases: Vec<Case>,
    decodes: Vec<Decode>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[derive(Deserialize)]
struct Decode {
    ids: Vec<u32>,
    decoded: String,
}

/// `t5.model` with mT5's sentinels: user-defined pieces behind the others. In the file a field more is a piece more.
fn mt5() -> Vec<u8> {
    let mut model = fs::read(fixture("t5.model")).unwrap();
    for number in (0..100).rev() {
        let name = format!("\u{2581}<extra_id_{number}>");
        let mut piece = vec![1 << 3 | 2, name.len() as u8];
        piece.extend(name.as_bytes());
        // Score 0, type USER_DEFINED.
        piece.extend([2 << 3 | 5, 0, 0, 0, 0, 3 << 3, 4]);
        model.extend([1 << 3 | 2, piece.len() as u8]);
        model.extend(piece);
    }
    model
}

fn directory<'a>(
    model: &[u8],
    files: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("spiece.model"), model).unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content.to_string()).unwrap();
    }
    directory
}

fn of(content: &Value) -> tempfile::TempDir {
    let model = fs::read(fixture("t5.model")).unwrap();
    directory(&model, [("tokenizer_config.json", content)])
}

#[test]
fn files_beside_the_model_mean_what_they_mean_to_transformers() {
    let text = fs::read_to_string(fixture("beside.jsonl")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let given: Directory = serde_json::from_str(line).unwrap();
        let model = match given.model.as_str() {
            "mt5" => mt5(),
            _ => fs::read(fixture("t5.model")).unwrap(),
        };
        let files = given.files.iter().map(|(name, json)| (name.as_str(), json));
        let directory = directory(&model, files);
        let tokenizer = T5Tokenizer::from_directory(directory.path()).unwrap();
        let name = &given.name;
        for Case { text, ids, decoded } in &given.cases {
            count += 1;
            let ours = tokenizer.encode(text).unwrap();
            if ours != *ids {
                wrong.push(format!(
                    "{name}: {text:?}\n  ours   {ours:?}\n  theirs {ids:?}"
                ));
            }
            let ours = tokenizer.decode(ids).unwrap();
            if ours != *decoded {
                wrong.push(format!(
                    "{name}: {text:?}\n  ours   {ours:?}\n  theirs {decoded:?}"
                ));
            }
        }
        for Decode { ids, decoded } in &given.decodes {
            let ours = tokenizer.decode(ids).unwrap();
            if ours != *decoded {
                wrong.push(format!(
                    "{name}: {ids:?}\n  ours   {ours:?}\n  theirs {decoded:?}"
                ));
            }
        }
    }
    assert!(count > 300);
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn ids_depend_on_the_files_that_are_there() {
    let bare = directory(&fs::read(fixture("t5.model")).unwrap(), []);
    let count = |path: &Path| T5Tokenizer::from_directory(path).unwrap().files().count();
    assert_eq!(count(bare.path()), 1);
    assert_eq!(count(of(&json!({})).path()), 2);
}

#[test]
fn what_is_not_supported_is_refused() {
    let refused = |content: Value, words: &[&str]| {
        let error = T5Tokenizer::from_directory(of(&content).path()).unwrap_err();
        assert!(matches!(error, T5Error::Tokenizer { .. }));
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    };
    refused(
        json!({"tokenizer_class": "LlamaTokenizer"}),
        &["tokenizer_config.json", "LlamaTokenizer"],
    );
    refused(
        json!({"sp_model_kwargs": {"enable_sampling": true}}),
        &["tokenizer_config.json", "enable_sampling"],
    );
    refused(
        json!({"legacy": "no"}),
        &["tokenizer_config.json", "\"no\"", "line 1"],
    );
    refused(
        json!({"eos_token": 1}),
        &["tokenizer_config.json", "a token"],
    );
    refused(
        json!({"additional_special_tokens": ["<extra_id_0>"]}),
        &["`extra_ids` is 100", "1 sentinels"],
    );
    refused(
        json!({"added_tokens_decoder": {"4000000000": {"content": "x"}}}),
        &["\"x\"", "4000000000"],
    );
    let none = SpieceOptions::from_directory("nowhere").unwrap();
    assert_eq!(none, SpieceOptions::default());
}
