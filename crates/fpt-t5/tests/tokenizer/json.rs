//! `tokenizer.json`, with what people leave in it.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_t5::T5Tokenizer;
use serde_json::{Value, json};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mini-world/model/tokenizer.json")
}

/// The shipped tokenizer, changed.
fn changed(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokenizer.json");
    let mut json = serde_json::from_slice(&fs::read(shipped()).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    (directory, path)
}

/// transformers resets both after loading.
#[test]
fn padding_and_truncation_in_the_file_are_the_callers_business() {
    let text = "the home of Anna is in Kiel and the home of Ben is in Hull";
    let expected = T5Tokenizer::from_file(shipped())
        .unwrap()
        .encode(text)
        .unwrap();
    let (_directory, path) = changed(|json| {
        json["padding"] = json!({
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "<pad>"
        });
        json["truncation"] =
            json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    });
    let tokenizer = T5Tokenizer::from_file(path).unwrap();
    assert_eq!(tokenizer.encode(text).unwrap(), expected);
    assert!(expected.len() > 4);
}

#[test]
fn a_text_ends_in_the_end_of_sequence_or_the_file_is_refused() {
    let (_directory, path) = changed(|json| json["post_processor"] = Value::Null);
    let error = T5Tokenizer::from_file(&path).unwrap_err().to_string();
    for words in ["tokenizer.json", "post-processor", "`</s>`", "spiece.model"] {
        assert!(error.contains(words), "{error}");
    }
}

/// The fast tokenizer's decoded text is cleaned up, too.
#[test]
fn decoded_text_is_cleaned_up_where_the_configuration_wants_it() {
    let (directory, _) = changed(|_| {});
    let config = directory.path().join("tokenizer_config.json");
    let tokenizer = T5Tokenizer::from_directory(directory.path()).unwrap();
    let ids = tokenizer.encode("is it Anna ?").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "is it Anna ?");
    assert_eq!(tokenizer.files().count(), 1);
    fs::write(config, r#"{"clean_up_tokenization_spaces": true}"#).unwrap();
    let tokenizer = T5Tokenizer::from_directory(directory.path()).unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "is it Anna?");
    assert_eq!(tokenizer.files().count(), 2);
}
