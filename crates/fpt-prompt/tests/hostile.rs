//! Whatever bytes a prompt's files hold: an error that names the file or a prompt of the right shape, no panic, and no
//! more memory than the file is worth.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fpt_prompt::load_prompt;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::Index;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What all the tests of this file together may hold: the files are a few kilobytes.
const LIMIT: usize = 32 << 20;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Fill(Index, usize, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    /// A number of the text becomes another.
    Number(Index, u64),
    /// Two stretches change places.
    Swap(Index, Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(i, b)| Change::Set(i, b)),
        4 => (at(), 0..8u8).prop_map(|(i, bit)| Change::Flip(i, bit)),
        2 => (at(), 1..9usize, prop_oneof![Just(0), Just(0xff), any::<u8>()])
            .prop_map(|(i, n, b)| Change::Fill(i, n, b)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..16)).prop_map(|(i, b)| Change::Insert(i, b)),
        1 => (at(), 1..40usize).prop_map(|(i, n)| Change::Remove(i, n)),
        1 => (at(), 1..40usize).prop_map(|(i, n)| Change::Repeat(i, n)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), prop_oneof![any::<u64>(), 0..100u64, Just(u64::MAX), Just(1 << 40)])
            .prop_map(|(i, n)| Change::Number(i, n)),
        1 => (at(), at(), 1..40usize).prop_map(|(i, j, n)| Change::Swap(i, j, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let stretch = |i: &Index, n: usize| {
        let from = i.index(length);
        from..(from + n).min(length)
    };
    match change {
        Change::Set(i, byte) => bytes[i.index(length)] = *byte,
        Change::Flip(i, bit) => bytes[i.index(length)] ^= 1 << bit,
        Change::Fill(i, n, byte) => bytes[stretch(i, *n)].fill(*byte),
        Change::Insert(i, new) => {
            let at = i.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove(i, n) => {
            bytes.drain(stretch(i, *n));
        }
        Change::Repeat(i, n) => {
            let copy = bytes[stretch(i, *n)].to_vec();
            let at = i.index(length);
            bytes.splice(at..at, copy);
        }
        Change::Cut(i) => bytes.truncate(i.index(length)),
        Change::Number(i, number) => {
            let starts: Vec<usize> = (0..length)
                .filter(|&at| bytes[at].is_ascii_digit())
                .filter(|&at| at == 0 || !bytes[at - 1].is_ascii_digit())
                .collect();
            if let Some(&from) = starts.get(i.index(starts.len().max(1))) {
                let digits = bytes[from..].iter().take_while(|b| b.is_ascii_digit());
                let to = from + digits.count();
                bytes.splice(from..to, number.to_string().into_bytes());
            }
        }
        Change::Swap(i, j, n) => {
            let (a, b) = (stretch(i, *n), stretch(j, *n));
            for (x, y) in a.zip(b) {
                bytes.swap(x, y);
            }
        }
    }
}

/// A file as its program wrote it, changed in a few places, or nothing but noise.
fn damaged(originals: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let originals: Vec<Vec<u8>> = originals
        .iter()
        .map(|path| fs::read(here(path)).unwrap())
        .collect();
    let changed = (
        prop::sample::select(originals.clone()),
        prop::collection::vec(change(), 1..6),
    )
        .prop_map(|(mut bytes, changes)| {
            changes.iter().for_each(|change| apply(&mut bytes, change));
            bytes
        });
    // Noise after a beginning that is right gets further than noise alone.
    let begun = (
        prop::sample::select(originals),
        any::<Index>(),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(mut bytes, at, noise)| {
            bytes.truncate(at.index(bytes.len()));
            bytes.extend(noise);
            bytes
        });
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![8 => changed, 2 => begun, 1 => noise]
}

/// Load what lies at `path`, in which `file` is damaged.
fn survive(path: &Path, file: &str, d_model: usize) -> Result<(), TestCaseError> {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = load_prompt(path, d_model, &Device::flex());
    let used = MEMORY.peak_usage().saturating_sub(before);
    prop_assert!(used < LIMIT, "{used} bytes of memory");
    match result {
        Ok(prompt) => prop_assert_eq!(prompt.shape()[1], d_model),
        Err(error) => {
            let message = error.to_string();
            prop_assert!(message.contains(file), "{}", message);
        }
    }
    Ok(())
}

/// An adapter of PEFT's, of which one file is replaced.
fn survive_adapter(original: &str, file: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let config = "adapter_config.json";
    fs::copy(here(original).join(config), directory.path().join(config)).unwrap();
    if file == config {
        let weights = "adapter_model.safetensors";
        let from = here(original).join(weights);
        fs::copy(from, directory.path().join(weights)).unwrap();
    }
    fs::write(directory.path().join(file), bytes).unwrap();
    // A config that is still one may describe other weights.
    let named = if file == config { "adapter_" } else { file };
    survive(directory.path(), named, 16)
}

proptest! {
    #[test]
    fn configs(bytes in damaged(&[
        "peft/written_by_peft_1/adapter_config.json",
        "peft/written_by_us/adapter_config.json",
    ])) {
        survive_adapter("peft/written_by_peft_1", "adapter_config.json", &bytes)?;
    }

    #[test]
    fn safetensors(bytes in damaged(&[
        "peft/written_by_peft_1/adapter_model.safetensors",
        "peft/written_by_peft_bf16/adapter_model.safetensors",
    ])) {
        survive_adapter("peft/written_by_peft_1", "adapter_model.safetensors", &bytes)?;
    }

    #[test]
    fn pickles(bytes in damaged(&[
        "peft/written_by_peft_bin_f16/adapter_model.bin",
        "peft/written_by_peft_bin_legacy/adapter_model.bin",
    ])) {
        survive_adapter("peft/written_by_peft_bin_f16", "adapter_model.bin", &bytes)?;
    }

    #[test]
    fn arrays(bytes in damaged(&[
        "npy/float32.npy",
        "npy/bfloat16.npy",
        "npy/version_2.npy",
        "npy/records.npy",
    ])) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prompt.npy");
        fs::write(&path, &bytes).unwrap();
        survive(&path, "prompt.npy", 8)?;
    }
}

/// A view may repeat one number as often as it likes: the file stays small, whatever it claims.
#[test]
fn a_view_larger_than_its_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let original = here("peft/expanded");
    for file in ["adapter_config.json", "adapter_model.bin"] {
        fs::copy(original.join(file), directory.path().join(file)).unwrap();
    }
    let message = load_prompt(directory.path(), 16, &Device::flex())
        .unwrap_err()
        .to_string();
    assert!(message.contains("bytes, but the file has"), "{message}");
}
