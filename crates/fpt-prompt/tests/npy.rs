//! Prompts of google-research/prompt-tuning, on the fixtures of `tests/npy/make_fixture.py`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fpt_prompt::{PromptError, SoftPrompt, load_npy, load_prompt};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/npy")
        .join(name)
}

fn load(path: &Path) -> Result<SoftPrompt, PromptError> {
    load_npy(path, 8, &Device::flex())
}

#[test]
fn arrays_of_numpy_have_the_same_values_here() {
    let values = fs::read_to_string(fixture("values.json")).unwrap();
    let values: BTreeMap<String, Vec<Vec<f32>>> = serde_json::from_str(&values).unwrap();
    assert_eq!(values.len(), 6);
    for (name, values) in values {
        let path = fixture(&format!("{name}.npy"));
        for prompt in [load(&path), load_prompt(&path, 8, &Device::flex())] {
            let prompt = prompt.unwrap();
            assert_eq!(prompt.shape(), [3, 8], "{name}");
            assert_eq!(prompt.values(), values.concat(), "{name}");
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prompt.npy");
    let whole = fs::read(fixture("float32.npy")).unwrap();
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut bytes = whole.clone();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&wrong.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(
            message.contains("prompt.npy: vector 3 of its array")
                && message.contains("NaN or infinite"),
            "{message}"
        );
    }
}

#[test]
fn other_arrays_are_refused_with_a_way_out() {
    for (name, complaint) in [
        ("big_endian", "type >f4; supported are float32"),
        ("fortran", "np.ascontiguousarray"),
        ("integers", "type <i4; supported are float32"),
        ("records", "not that of an array of numbers: {'descr': [("),
        ("flat", "its shape is [24], but"),
        ("batched", "its shape is [1, 3, 8], but"),
        ("empty", "its shape is [0, 8], but"),
        (
            "transposed",
            "is [8, 3], but a prompt for this model is [length, 8]",
        ),
    ] {
        let path = fixture(&format!("{name}.npy"));
        let message = load(&path).unwrap_err().to_string();
        assert!(
            message.contains(complaint) && message.contains(path.to_str().unwrap()),
            "`{complaint}` is not in: {message}"
        );
    }
}

#[test]
fn damaged_arrays_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prompt.npy");
    let whole = fs::read(fixture("float32.npy")).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = load(&path).unwrap_err().to_string();
        assert!(message.contains("prompt.npy"), "{message}");
        message
    };
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    refused(&[&whole[..], &[0]].concat());

    let replaced = |from: &str, to: &str| {
        // The header keeps its length: spaces fill it.
        let text = String::from_utf8_lossy(&whole[10..128]).into_owned();
        let text = text.replacen(from, to, 1);
        let header = format!("{:117}\n", text.trim_end());
        assert_eq!(header.len(), 118);
        [&whole[..10], header.as_bytes(), &whole[128..]].concat()
    };
    for (from, to, complaint) in [
        ("(3, 8)", "(4, 8)", "should be 128 bytes long, but are 96"),
        ("(3, 8)", "(18446744073709551615, 8)", "but are 96"),
        ("(3, 8)", "(18446744073709551616, 8)", "its header is not"),
        ("(3, 8)", "(-3, 8)", "its header is not"),
        ("(3, 8)", "(3, 8", "its header is not"),
        ("'shape'", "'form'", "its header is not"),
        ("'<f4'", "'<f4", "its header is not"),
        ("False", "0", "its header is not"),
        ("}", "} + 1", "its header is not"),
        ("{'descr': '<f4', ", "{", "its header is not"),
    ] {
        let message = refused(&replaced(from, to));
        assert!(
            message.contains(complaint),
            "`{complaint}` is not in: {message}"
        );
    }
    // Other writers order and space the entries as they like.
    let bytes = replaced(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8), }",
        r#"{ "shape":(3,8), "fortran_order" :False,"descr":"<f4"}"#,
    );
    fs::write(&path, bytes).unwrap();
    assert_eq!(
        load(&path).unwrap().values(),
        load(&fixture("float32.npy")).unwrap().values()
    );

    // A header may claim four gigabytes.
    let mut bytes = fs::read(fixture("version_2.npy")).unwrap();
    bytes[8..12].fill(0xff);
    assert!(refused(&bytes).contains("4294967295 bytes long"));
    bytes[6] = 4;
    assert!(refused(&bytes).contains("version 4.0"));
}

#[test]
fn what_a_path_holds_is_told_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let error = |path: &Path| load_prompt(path, 8, &device).unwrap_err();
    let absent = directory.path().join("absent");
    assert!(matches!(error(&absent), PromptError::Read { .. }));
    assert!(error(&absent).to_string().contains("absent"));
    assert!(matches!(
        error(directory.path()),
        PromptError::Read { path, .. } if path.ends_with("adapter_config.json")
    ));

    let other = directory.path().join("adapter_model.safetensors");
    fs::write(&other, "").unwrap();
    let message = error(&other).to_string();
    assert!(
        message.contains("adapter_model.safetensors: not a prompt: expected the directory"),
        "{message}"
    );

    let upper = directory.path().join("PROMPT.NPY");
    fs::copy(fixture("float32.npy"), &upper).unwrap();
    assert!(load_prompt(&upper, 8, &device).is_ok());
}
