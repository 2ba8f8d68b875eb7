//! Prompts to and from PEFT, on the fixtures of `tests/peft/make_fixture.py`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_lab::shipped_model;
use fpt_prompt::{
    AdapterInfo, InitKind, PromptError, SoftPrompt, load_adapter, load_prompt, save_adapter,
};
use fpt_t5::{Generation, T5, prepend};
use serde::Deserialize;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What PEFT generated for an input.
#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<i32>,
    generated: Vec<u32>,
    first_logits: Vec<f32>,
}

/// Compare what we compute for each input with what PEFT did.
fn assert_same_answers(model: &T5, prompt: &SoftPrompt, fixture: &Path) {
    let device = model.device();
    let expected: Vec<Expected> =
        serde_json::from_str(&fs::read_to_string(fixture).unwrap()).unwrap();
    assert!(expected.len() >= 3);
    for (number, example) in expected.iter().enumerate() {
        let count = example.input_ids.len();
        let ids = TensorData::new(example.input_ids.clone(), [1, count]);
        let ids = Tensor::<2, Int>::from_data(ids, &device);
        let mask = Tensor::ones([1, count], &device);
        let (embeddings, mask) = prepend(Some(prompt.weight.val()), model.embed(ids), mask);
        let encoded = model.encode(embeddings, mask);

        let start = model.config().decoder_start_token_id;
        let first = Tensor::<2, Int>::from_data([[start as i32]], &device);
        let logits = model.decode(first, &encoded, None);
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        assert_eq!(logits.len(), example.first_logits.len());
        for (ours, theirs) in logits.iter().zip(&example.first_logits) {
            assert!(
                (ours - theirs).abs() <= 1e-3,
                "input {number}: {ours} is not {theirs}"
            );
        }

        let mut ours = vec![start];
        ours.extend(&model.generate(&encoded, &Generation::greedy(12))[0]);
        assert_eq!(ours, example.generated, "input {number}");
    }
}

#[test]
fn adapters_written_by_peft_give_the_same_answers_here() {
    let device = Device::flex();
    let model = T5::from_pretrained(here("../fpt-t5/tests/golden/gated_untied"), &device).unwrap();
    for submodules in [1, 2] {
        let directory = here(&format!("tests/peft/written_by_peft_{submodules}"));
        let prompt = load_adapter(&directory, model.config().d_model, &device).unwrap();
        assert_eq!(prompt.shape(), [5, 16]);
        assert_same_answers(&model, &prompt, &directory.join("expected.json"));
    }
}

#[test]
fn our_adapter_gives_the_same_answers_in_peft() {
    let device = Device::flex();
    let model = T5::from_pretrained(shipped_model(), &device).unwrap();
    let directory = here("tests/peft/written_by_us");
    let prompt = load_adapter(&directory, model.config().d_model, &device).unwrap();
    assert_eq!(prompt.shape(), [20, 64]);
    assert_same_answers(&model, &prompt, &here("tests/peft/generated.json"));

    // What PEFT read is what we write today.
    let copy = tempfile::tempdir().unwrap();
    let info = AdapterInfo {
        base_model: "datasets/mini-world/model".into(),
        num_attention_heads: model.config().num_heads,
        num_layers: model.config().num_layers,
        init: InitKind::Random,
    };
    save_adapter(&prompt, &info, copy.path()).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let read = |directory: &Path| fs::read(directory.join(file)).unwrap();
        assert_eq!(read(copy.path()), read(&directory), "{file}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_neither_written_nor_read() {
    let device = Device::flex();
    let directory = tempfile::tempdir().unwrap();
    let info = AdapterInfo {
        base_model: "base".into(),
        num_attention_heads: 2,
        num_layers: 2,
        init: InitKind::Random,
    };
    let prompt = |wrong: Option<f32>| {
        let mut values = vec![0.5; 5 * 16];
        values[2 * 16 + 3] = wrong.unwrap_or(0.5);
        SoftPrompt::from_values(values, [5, 16], &device)
    };
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let path = directory.path().join("new");
        let error = save_adapter(&prompt(Some(wrong)), &info, &path).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("vector 3 of the prompt"), "{message}");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        assert!(!path.exists());

        save_adapter(&prompt(None), &info, directory.path()).unwrap();
        let weights = directory.path().join("adapter_model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&wrong.to_le_bytes());
        fs::write(&weights, bytes).unwrap();
        let error = load_adapter(directory.path(), 16, &device).unwrap_err();
        let message = error.to_string();
        for part in [
            weights.to_str().unwrap(),
            "vector 5 of `prompt_embeddings`",
            "NaN or infinite",
        ] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

/// f16 and bf16, `adapter_model.bin` of today's torch and of that before 1.6, one submodule and two.
#[test]
fn every_type_and_container_that_peft_writes_has_the_same_values_here() {
    for (name, weights) in [
        ("f16", "adapter_model.safetensors"),
        ("bf16", "adapter_model.safetensors"),
        ("bin", "adapter_model.bin"),
        ("bin_f16", "adapter_model.bin"),
        ("bin_bf16", "adapter_model.bin"),
        ("bin_legacy", "adapter_model.bin"),
    ] {
        let directory = here(&format!("tests/peft/written_by_peft_{name}"));
        assert!(directory.join(weights).is_file(), "{name}");
        let values = fs::read_to_string(directory.join("values.json")).unwrap();
        let values: Vec<Vec<f32>> = serde_json::from_str(&values).unwrap();
        let prompt = load_prompt(&directory, 16, &Device::flex()).unwrap();
        assert_eq!(prompt.shape(), [5, 16], "{name}");
        assert_eq!(prompt.values(), values.concat(), "{name}");
    }
}

#[test]
fn without_the_number_of_submodules_the_rows_tell() {
    for (name, submodules) in [("bin", 2), ("bin_bf16", 1)] {
        let original = here(&format!("tests/peft/written_by_peft_{name}"));
        let directory = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(original.join("adapter_config.json")).unwrap();
        let line = format!("\"num_transformer_submodules\": {submodules}");
        assert!(config.contains(&line));
        let config = config.replace(&line, "\"num_transformer_submodules\": null");
        fs::write(directory.path().join("adapter_config.json"), config).unwrap();
        let weights = "adapter_model.bin";
        fs::copy(original.join(weights), directory.path().join(weights)).unwrap();
        let prompts = [original.as_path(), directory.path()]
            .map(|path| load_adapter(path, 16, &Device::flex()).unwrap());
        assert_eq!(prompts[0].values(), prompts[1].values());
    }
}

/// A copy of an adapter of PEFT's, to be damaged.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let from = here("tests/peft/written_by_peft_1").join(file);
        fs::copy(from, copy.path().join(file)).unwrap();
    }
    copy
}

fn load(directory: &tempfile::TempDir) -> Result<SoftPrompt, PromptError> {
    load_adapter(directory.path(), 16, &Device::flex())
}

#[test]
fn damaged_adapters_are_refused_by_name() {
    let weights = "adapter_model.safetensors";
    let config = "adapter_config.json";
    assert!(load(&copy()).is_ok());

    let directory = copy();
    let bytes = fs::read(directory.path().join(weights)).unwrap();
    for length in 0..bytes.len() {
        fs::write(directory.path().join(weights), &bytes[..length]).unwrap();
        let message = load(&directory).unwrap_err().to_string();
        assert!(message.contains(weights), "{message}");
    }

    for (from, to, complaint) in [
        ("PROMPT_TUNING", "LORA", "LORA"),
        ("\"token_dim\": 16", "\"token_dim\": 8", "d_model is 16"),
        (
            "\"num_virtual_tokens\": 5",
            "\"num_virtual_tokens\": 6",
            "[6, 16]",
        ),
        (
            "\"num_virtual_tokens\": 5",
            "\"num_virtual_tokens\": 0",
            "no virtual tokens",
        ),
        (
            "\"num_virtual_tokens\": 5",
            "\"num_virtual_tokens\": 18446744073709551615",
            "adapter_config.json says",
        ),
        ("\"peft_type\"", "\"type\"", "peft_type"),
        ("{", "", "expected"),
    ] {
        let directory = copy();
        let path = directory.path().join(config);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let message = load(&directory).unwrap_err().to_string();
        assert!(
            message.contains(complaint),
            "`{complaint}` is not in: {message}"
        );
    }

    let directory = copy();
    fs::remove_file(directory.path().join(weights)).unwrap();
    let error = load(&directory).unwrap_err();
    assert!(matches!(error, PromptError::Read { .. }));
    let message = fpt_files::with_causes(&error);
    assert!(
        message.contains(weights) && message.contains("adapter_model.bin"),
        "{message}"
    );
}
