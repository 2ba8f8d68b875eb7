//! Tokenizers read from SentencePiece models against transformers' (fixtures: `make_fixture.py`; more texts than these:
//! `compare.rs`).
#![allow(clippy::unwrap_used)]

mod beside;
mod cases;
mod json;

use fpt_t5::{SpieceOptions, T5Config, T5Error, T5Tokenizer};

use cases::{compare, fixture};

#[test]
fn t5_model_equals_transformers() {
    let text = std::fs::read_to_string(fixture("t5.jsonl")).unwrap();
    let cases = compare("t5", text.lines());
    assert!(cases.len() > 500);
    // The cases would not tell the three apart otherwise.
    assert!(cases.iter().filter(|case| case.fixed.is_some()).count() > 50);
    assert!(cases.iter().filter(|case| case.fast.is_some()).count() > 10);
}

#[test]
fn model_with_unusual_options_equals_transformers() {
    let text = std::fs::read_to_string(fixture("options.jsonl")).unwrap();
    assert!(compare("options", text.lines()).len() > 500);
}

#[test]
fn sentinels_follow_the_pieces_in_reverse() {
    let tokenizer = T5Tokenizer::from_spiece(fixture("t5.model")).unwrap();
    assert_eq!(tokenizer.token_to_id("<pad>"), Some(0));
    assert_eq!(tokenizer.token_to_id("</s>"), Some(1));
    assert_eq!(tokenizer.token_to_id("<unk>"), Some(2));
    assert_eq!(tokenizer.token_to_id("<extra_id_99>"), Some(8000));
    assert_eq!(tokenizer.token_to_id("<extra_id_0>"), Some(8099));
    assert_eq!(tokenizer.token_to_id("<extra_id_100>"), None);
    assert_eq!(tokenizer.encode("<extra_id_0>").unwrap(), [8099, 1]);
    assert_eq!(tokenizer.decode(&[8099, 8127, 0, 1]).unwrap(), "");
}

/// The example of transformers' documentation: `.` has a space in front after a sentinel, or it has not.
#[test]
fn legacy_is_an_option() {
    let path = fixture("t5.model");
    let encode = |legacy| {
        let options = SpieceOptions {
            legacy,
            ..SpieceOptions::default()
        };
        let tokenizer = T5Tokenizer::from_spiece_with(&path, &options).unwrap();
        let space = tokenizer.token_to_id("\u{2581}").unwrap();
        let dot = tokenizer.token_to_id(".").unwrap();
        (tokenizer.encode("<extra_id_0>.").unwrap(), space, dot)
    };
    let (ids, space, dot) = encode(true);
    assert_eq!(ids, [8099, space, dot, 1]);
    let (ids, _, dot) = encode(false);
    assert_eq!(ids, [8099, dot, 1]);
}

#[test]
fn extra_ids_is_an_option() {
    let options = SpieceOptions {
        extra_ids: 3,
        ..SpieceOptions::default()
    };
    let tokenizer = T5Tokenizer::from_spiece_with(fixture("t5.model"), &options).unwrap();
    assert_eq!(tokenizer.encode("<extra_id_2>").unwrap(), [8000, 1]);
    assert_eq!(tokenizer.token_to_id("<extra_id_3>"), None);
    assert!(tokenizer.encode("<extra_id_3>").unwrap().len() > 2);

    let options = SpieceOptions {
        extra_ids: u32::MAX,
        ..SpieceOptions::default()
    };
    let error = T5Tokenizer::from_spiece_with(fixture("t5.model"), &options).unwrap_err();
    assert!(error.to_string().contains("sentinels"), "{error}");
}

#[test]
fn check_fits_compares_with_the_model() {
    let tokenizer = T5Tokenizer::from_spiece(fixture("t5.model")).unwrap();
    let config = |vocab_size: usize, eos: u32| -> T5Config {
        let json = serde_json::json!({
            "model_type": "t5", "vocab_size": vocab_size, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1,
            "num_decoder_layers": 1, "num_heads": 2, "relative_attention_num_buckets": 4,
            "relative_attention_max_distance": 8, "dropout_rate": 0.0, "layer_norm_epsilon": 1e-6,
            "feed_forward_proj": "relu", "tie_word_embeddings": true, "pad_token_id": 0, "eos_token_id": eos,
            "decoder_start_token_id": 0
        });
        serde_json::from_value(json).unwrap()
    };
    tokenizer.check_fits(&config(8128, 1)).unwrap();
    tokenizer.check_fits(&config(8100, 1)).unwrap();
    let error = tokenizer.check_fits(&config(8099, 1)).unwrap_err();
    assert!(error.to_string().contains("vocab_size is 8099"), "{error}");
    let error = tokenizer.check_fits(&config(8100, 2)).unwrap_err();
    assert!(error.to_string().contains("eos_token_id is [2]"), "{error}");
}

#[test]
fn directory_prefers_tokenizer_json() {
    let directory = tempfile::tempdir().unwrap();
    let error = T5Tokenizer::from_directory(directory.path()).unwrap_err();
    assert!(matches!(&error, T5Error::Tokenizer { path, .. } if path == directory.path()));
    for name in ["tokenizer.json", "spiece.model"] {
        assert!(error.to_string().contains(name), "{error}");
    }

    std::fs::copy(fixture("t5.model"), directory.path().join("spiece.model")).unwrap();
    let tokenizer = T5Tokenizer::from_directory(directory.path()).unwrap();
    assert_eq!(tokenizer.token_to_id("<extra_id_0>"), Some(8099));

    // A damaged one is not passed over.
    let json = directory.path().join("tokenizer.json");
    std::fs::write(&json, "{").unwrap();
    let error = T5Tokenizer::from_directory(directory.path()).unwrap_err();
    assert!(matches!(error, T5Error::Tokenizer { path, .. } if path == json));
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spiece.model");
    let error = T5Tokenizer::from_spiece(&path).unwrap_err();
    assert!(matches!(&error, T5Error::Read { path: named, .. } if *named == path));

    std::fs::write(&path, "<html>404: not found</html>").unwrap();
    let error = T5Tokenizer::from_spiece(&path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    assert!(error.contains("fetch it again"), "{error}");

    // Longer than any model, but not read to its end.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = T5Tokenizer::from_spiece(&path).unwrap_err().to_string();
    assert!(error.contains("more than 8 MiB"), "{error}");
}
