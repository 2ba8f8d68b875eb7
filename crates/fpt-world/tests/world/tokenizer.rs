//! The tokenizer: no unknown words, and the same ids as Hugging Face's.

use std::path::Path;

use fpt_files::FileError;
use fpt_world::{Corpus, Difficulty, WorldError, tokenizer, write_tokenizer};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::tasks::{generated, verbalised};

const UNK: u32 = 2;

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn ids_are_laid_out_as_in_t5() {
    let tokenizer = tokenizer().unwrap();
    let size = tokenizer.get_vocab_size(true) as u32;
    assert!((350..=420).contains(&size), "{size}");
    for (id, token) in ["<pad>", "</s>", "<unk>", "▁"].into_iter().enumerate() {
        assert_eq!(tokenizer.token_to_id(token), Some(id as u32));
    }
    for number in 0..100 {
        let id = tokenizer.token_to_id(&format!("<extra_id_{number}>"));
        assert_eq!(id, Some(size - 1 - number));
    }
    let words: Vec<String> = (0..size)
        .map(|id| tokenizer.id_to_token(id).unwrap())
        .filter(|piece| {
            piece.starts_with('▁') && piece.chars().all(|c| c == '▁' || c.is_alphabetic())
        })
        .collect();
    assert!(words.is_sorted());
}

#[test]
fn ids_and_texts_equal_hugging_faces() {
    let tokenizer = tokenizer().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/tokenizer_ids.json");
    let cases: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    assert!(cases.len() >= 60);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(ids(&tokenizer, text), expected, "{text:?}");
        let decoded = tokenizer.decode(&expected, true).unwrap();
        assert_eq!(decoded, case["decoded"].as_str().unwrap(), "{text:?}");
    }
}

#[test]
fn every_text_of_the_tasks_survives_the_round_trip() {
    let tokenizer = tokenizer().unwrap();
    let texts = verbalised(generated());
    assert!(texts.len() > 80_000);
    for text in &texts {
        let ids = ids(&tokenizer, text);
        assert!(!ids.contains(&UNK), "{text}");
        assert_eq!(&tokenizer.decode(&ids, true).unwrap(), text);
    }
}

#[test]
fn the_corpus_has_no_unknown_words() {
    let tokenizer = tokenizer().unwrap();
    let mut corpus = Corpus::new(21);
    let difficulty = Difficulty {
        max_facts: 4,
        other_wording: 0.85,
        applied: 1.0,
    };
    for _ in 0..20_000 {
        let example = corpus.training_example(difficulty);
        for text in [&example.source, &example.target] {
            assert!(!ids(&tokenizer, text).contains(&UNK), "{text}");
        }
        let text = corpus.document(None, difficulty).text();
        let ids = ids(&tokenizer, &text);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    }
}

#[test]
fn spaces_around_sentinels_do_not_matter() {
    let tokenizer = tokenizer().unwrap();
    let tight = ids(&tokenizer, "Anna<extra_id_0>lives in<extra_id_1>.");
    let loose = ids(&tokenizer, "Anna <extra_id_0> lives in <extra_id_1> .");
    assert_eq!(tight, loose);
}

#[test]
fn the_written_tokenizer_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    write_tokenizer(directory.path()).unwrap();
    let read = Tokenizer::from_file(directory.path().join("tokenizer.json")).unwrap();
    let built = tokenizer().unwrap();
    assert_eq!(read.get_vocab(true), built.get_vocab(true));
    let text = "<extra_id_0>, who is Zoë? not_duplicate  = Anna / Ben.";
    assert_eq!(ids(&read, text), ids(&built, text));
    let first = std::fs::read(directory.path().join("tokenizer.json")).unwrap();
    write_tokenizer(directory.path()).unwrap();
    assert_eq!(
        std::fs::read(directory.path().join("tokenizer.json")).unwrap(),
        first
    );
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = write_tokenizer(&missing).unwrap_err();
    assert!(matches!(error, WorldError::File(FileError::Write { .. })));
    let path = missing.join("tokenizer.json").display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
}
