//! Files from elsewhere, damaged in all ways: an error that names the file, and never a panic.
//!
//! `PROPTEST_CASES=100000 cargo test --workspace --test robustness` looks longer than the tests do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fpt_lab::shipped_model;
use fpt_t5::{T5, T5Config, T5Tokenizer};
use proptest::prelude::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// What may happen to a file.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Vec<u8>),
    Truncate(prop::sample::Index),
    Flip(Vec<(prop::sample::Index, u8)>),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
}

impl Damage {
    fn to(&self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        match self {
            Self::Replace(other) => return other.clone(),
            Self::Truncate(at) => bytes.truncate(at.index(whole.len())),
            Self::Flip(places) => {
                for (at, mask) in places {
                    bytes[at.index(whole.len())] ^= mask;
                }
            }
            Self::Insert(at, more) => {
                let at = at.index(whole.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(whole.len());
                bytes.drain(at..(at + count).min(whole.len()));
            }
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Damage::Replace),
        at().prop_map(Damage::Truncate),
        prop::collection::vec((at(), 1..=255_u8), 1..6).prop_map(Damage::Flip),
        (at(), prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(at, more)| Damage::Insert(at, more)),
        (at(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
    ]
}

/// A directory with the configuration of `gated_tied` and these files.
fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(
        golden("gated_tied/config.json"),
        directory.path().join("config.json"),
    )
    .unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

/// Loading works, as damage may hit values only, or fails with a message about a file of the directory.
fn loads_or_explains(directory: &Path) {
    if let Err(error) = T5::from_pretrained(directory, &Device::flex()) {
        let text = error.to_string();
        let named = text.contains(&directory.display().to_string());
        assert!(named, "{text}");
    }
}

proptest! {
    // A failure is shown in full; no file of it is left behind.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn config(damage in damage()) {
        let whole = fs::read(golden("gated_tied/config.json")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, damage.to(&whole)).unwrap();
        if let Err(error) = T5Config::from_file(&path) {
            assert!(error.to_string().contains("config.json"), "{error}");
        } else {
            // Any configuration that is accepted can be met with weights that do not fit it.
            fs::copy(golden("gated_tied/model.safetensors"), directory.path().join("model.safetensors")).unwrap();
            loads_or_explains(directory.path());
        }
    }

    #[test]
    fn safetensors(damage in damage()) {
        let whole = fs::read(golden("gated_tied/model.safetensors")).unwrap();
        loads_or_explains(directory(&[("model.safetensors", &damage.to(&whole))]).path());
    }

    #[test]
    fn safetensors_header(header in prop::collection::vec(any::<u8>(), 0..200), length in any::<u64>(), lies: bool) {
        let length = if lies { length } else { header.len() as u64 };
        let bytes = [&length.to_le_bytes()[..], &header].concat();
        loads_or_explains(directory(&[("model.safetensors", &bytes)]).path());
    }

    #[test]
    fn index(damage in damage()) {
        let whole = fs::read(golden("checkpoints/sharded/model.safetensors.index.json")).unwrap();
        let shard = fs::read(golden("checkpoints/sharded/model-00001-of-00003.safetensors")).unwrap();
        let files = [
            ("model.safetensors.index.json", &damage.to(&whole)[..]),
            ("model-00001-of-00003.safetensors", &shard),
        ];
        loads_or_explains(directory(&files).path());
    }

    #[test]
    fn pickle_in_a_zip(damage in damage()) {
        let whole = fs::read(golden("checkpoints/bin/pytorch_model.bin")).unwrap();
        loads_or_explains(directory(&[("pytorch_model.bin", &damage.to(&whole))]).path());
    }

    #[test]
    fn pickle_of_old(damage in damage()) {
        let whole = fs::read(golden("checkpoints/bin_legacy/pytorch_model.bin")).unwrap();
        loads_or_explains(directory(&[("pytorch_model.bin", &damage.to(&whole))]).path());
    }

    #[test]
    fn bare_pickle(opcodes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[0x80, 2][..], &opcodes].concat();
        loads_or_explains(directory(&[("pytorch_model.bin", &bytes)]).path());
    }

    #[test]
    fn tokenizer(damage in damage(), text in ".{0,40}") {
        let whole = fs::read(shipped_model().join("tokenizer.json")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokenizer.json");
        fs::write(&path, damage.to(&whole)).unwrap();
        match T5Tokenizer::from_file(&path) {
            Ok(tokenizer) => {
                let ids = tokenizer.encode(&text).unwrap_or_default();
                _ = tokenizer.decode(&ids);
            }
            Err(error) => assert!(error.to_string().contains("tokenizer.json"), "{error}"),
        }
    }
}
