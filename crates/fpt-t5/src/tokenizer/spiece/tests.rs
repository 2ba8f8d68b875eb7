//! SentencePiece models: what is read, and what is refused.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::{MAX_FILE, Spiece, SpieceOptions};

const T5: &[u8] = include_bytes!("../../../tests/tokenizer/t5.model");
const OPTIONS: &[u8] = include_bytes!("../../../tests/tokenizer/options.model");

fn read(bytes: &[u8]) -> Result<Spiece, String> {
    Spiece::from_bytes(bytes, &SpieceOptions::default())
}

/// A model is read or refused with a message; one that is read can be used.
fn is_handled(bytes: &[u8], text: &str) -> Result<(), TestCaseError> {
    for legacy in [true, false] {
        let options = SpieceOptions {
            legacy,
            ..SpieceOptions::default()
        };
        match Spiece::from_bytes(bytes, &options) {
            Ok(model) => {
                let ids = model.encode(text);
                prop_assert!(ids.iter().all(|&id| id <= model.largest_id()));
                model.decode(&ids);
            }
            Err(reason) => prop_assert!(!reason.is_empty()),
        }
    }
    Ok(())
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut field).unwrap();
    field.extend(bytes);
    field
}

fn varint(number: u32, value: u8) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encode_length_delimiter((number << 3) as usize, &mut field).unwrap();
    field.push(value);
    field
}

fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
    let mut message = field(1, text.as_bytes());
    message.push(2 << 3 | 5);
    message.extend(score.to_le_bytes());
    message.extend(varint(3, kind));
    field(1, &message)
}

/// The smallest T5 tokenizer.
fn small() -> Vec<u8> {
    [
        piece("<pad>", 0.0, 3),
        piece("</s>", 0.0, 3),
        piece("<unk>", 0.0, 2),
        piece("\u{2581}", -2.0, 1),
        piece("a", -1.0, 1),
    ]
    .concat()
}

fn with(more: &[u8]) -> Result<Spiece, String> {
    read(&[&small(), more].concat())
}

fn refused(result: Result<impl Debug, String>, words: &str) {
    let reason = result.unwrap_err();
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn small_model_works() {
    let model = read(&small()).unwrap();
    assert_eq!(model.encode("a b"), [3, 4, 3, 2, 1]);
    assert_eq!(model.decode(&[3, 4, 3, 4, 1]), "a a");
}

#[test]
fn ties_go_to_the_segmentation_found_first() {
    let more = [piece("b", -1.0, 1), piece("ab", -2.0, 1)].concat();
    let model = with(&more).unwrap();
    // "ab" reaches the end before "b" does, and "b" is not better.
    assert_eq!(model.encode("ab"), [3, 6, 1]);
    // Better by so little that `f32` can't tell.
    let more = [piece("b", 1e-8, 1), piece("ab", -1.0, 1)].concat();
    assert_eq!(with(&more).unwrap().encode("ab"), [3, 6, 1]);
}

/// transformers takes a run of unknown characters for the token of that text, if there is one.
#[test]
fn unknown_characters_can_spell_a_control_token() {
    let model = with(&piece("<x>", 0.0, 3)).unwrap();
    assert_eq!(model.encode("a<x>a<y>"), [3, 4, 5, 4, 2, 1]);
}

#[test]
fn unsupported_models_are_refused() {
    refused(with(&field(2, &varint(3, 2))), "type BPE");
    refused(with(&field(2, &varint(3, 4))), "type character");
    refused(
        with(&field(2, &varint(24, 1))),
        "treat_whitespace_as_suffix",
    );
    refused(with(&field(5, &field(2, b"rules"))), "denormalizer_spec");
    refused(with(&field(2, &varint(35, 1))), "byte 0x00 has no piece");
    refused(with(&piece("<0x00>", 0.0, 6)), "<0x00>");
}

#[test]
fn impossible_models_are_refused() {
    refused(read(b""), "no pieces");
    refused(with(&piece("a", 0.0, 1)), "twice");
    refused(with(&piece("", 0.0, 1)), "piece 5");
    refused(with(&piece(&"b".repeat(8000), 0.0, 1)), "piece 5");
    refused(with(&piece("b", f32::NAN, 1)), "piece 5");
    refused(with(&piece("b", 0.0, 7)), "piece 5");
    refused(with(&piece("<other>", 0.0, 2)), "several");
    refused(with(&piece("<extra_id_0>", 0.0, 1)), "`extra_ids`");
    refused(with(&field(2, &field(48, b"a"))), "");
    refused(read(&small()[9..]), "");
    refused(read(&piece("a", 0.0, 1)), "</s>");
    for rules in [
        &b"\0"[..],
        b"\x04\0\0\0",
        b"\0\0\0\0a",
        b"\x01\0\0\0aa",
        b"\x04\0\0\0aaaa\xff",
    ] {
        refused(with(&field(3, &field(2, rules))), "normalisation rules");
    }
}

/// Two bytes a piece in the file are many more in memory.
#[test]
fn many_empty_pieces_are_refused_at_once() {
    let bytes = [b'\n', 0].repeat(MAX_FILE as usize / 2);
    refused(read(&bytes), "piece 0");
    refused(read(&[&bytes[..], b"\n"].concat()), "more than 8 MiB");
}

#[test]
fn every_truncation_of_a_small_model_is_refused_or_whole() {
    let bytes = small();
    for end in 0..bytes.len() {
        let _ = read(&bytes[..end]);
    }
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let odd = "Ｈｅｌｌｏ  w\u{f6}rld\u{200b} \u{fdfa}<extra_id_1>. </s>\0\u{2581} ①½ e\u{301} \u{1f600} 中文 {id}s ක";
    let every: String = (0..0x2_0000)
        .step_by(37)
        .filter_map(char::from_u32)
        .collect();
    format!("{odd}{every}")
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        is_handled(&bytes, "a")?;
        is_handled(&[small(), bytes].concat(), "a")?;
    }

    #[test]
    fn arbitrary_rules_do_not_panic(
        units in prop::collection::vec(any::<u32>(), 1..300),
        replacements in "[ a-c\0\u{e4}]{0,20}",
        text in "\\PC{0,20}",
    ) {
        let mut rules = (units.len() as u32 * 4).to_le_bytes().to_vec();
        // Small numbers, so that some of them lead to another unit.
        rules.extend(units.iter().flat_map(|unit| (unit & 0x3_ffff).to_le_bytes()));
        rules.extend(replacements.bytes());
        is_handled(&[small(), field(3, &field(2, &rules))].concat(), &text)?;
    }

    #[test]
    fn arbitrary_texts_do_not_panic(text in any::<String>(), ids in prop::collection::vec(any::<u16>(), 0..30)) {
        static MODEL: LazyLock<Spiece> = LazyLock::new(|| read(OPTIONS).unwrap());
        let encoded = MODEL.encode(&text);
        prop_assert_eq!(encoded.last(), Some(&1));
        // Bytes for what the model does not know: nothing is lost but the special tokens.
        if !text.contains('<') && !text.contains('\u{2581}') {
            prop_assert_eq!(MODEL.decode(&encoded), text.trim_matches(super::is_space));
        }
        MODEL.decode(&ids.into_iter().map(u32::from).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn truncated_models_do_not_panic(end in 0..T5.len(), other_end in 0..OPTIONS.len()) {
        is_handled(&T5[..end], &TEXT)?;
        is_handled(&OPTIONS[..other_end], &TEXT)?;
    }

    #[test]
    fn flipped_bits_do_not_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..20)) {
        for model in [T5, OPTIONS] {
            let mut bytes = model.to_vec();
            for (at, bit) in &flips {
                bytes[at.index(model.len())] ^= 1u8 << *bit;
            }
            is_handled(&bytes, &TEXT)?;
        }
    }
}
