//! Beam search against transformers; `make_beams.py` writes the cases.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_t5::{Generation, T5};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    model: String,
    source: Vec<Vec<i32>>,
    answers: Vec<Vec<u32>>,
    num_beams: usize,
    length_penalty: f64,
    early_stopping: bool,
    max_new_tokens: usize,
}

#[test]
fn beam_search_finds_what_transformers_finds() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(golden.join("beams.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 50);
    let device = Device::flex();
    for (number, case) in cases.iter().enumerate() {
        let model = T5::from_pretrained(golden.join(&case.model), &device).unwrap();
        let shape = [case.source.len(), case.source[0].len()];
        let source = case.source.concat();
        let mask: Vec<f32> = source
            .iter()
            .map(|&id| if id == 0 { 0.0 } else { 1.0 })
            .collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(source, shape), &device);
        let mask = Tensor::<2>::from_data(TensorData::new(mask, shape), &device);
        let encoded = model.encode(model.embed(ids), mask);
        let generation = Generation {
            max_new_tokens: case.max_new_tokens,
            num_beams: case.num_beams,
            length_penalty: case.length_penalty,
            early_stopping: case.early_stopping,
            vocabulary: None,
        };
        assert_eq!(
            model.generate(&encoded, &generation),
            case.answers,
            "case {number}: {generation:?}"
        );
    }
}

/// Padding rows of the embedding may be the most probable, but are no tokens.
#[test]
fn ids_beyond_the_vocabulary_are_never_generated() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let device = Device::flex();
    let model = T5::from_pretrained(golden.join("gated_untied"), &device).unwrap();
    let ids = Tensor::<2, Int>::from_ints([[5, 9, 30, 1], [7, 8, 1, 0]], &device);
    let mask = Tensor::<2>::from_floats([[1., 1., 1., 1.], [1., 1., 1., 0.]], &device);
    let encoded = model.encode(model.embed(ids), mask);
    for num_beams in [1, 3] {
        let all = model.generate(&encoded, &Generation::beams(num_beams, 12));
        let largest = all.iter().flatten().max().copied().unwrap();
        let generation = Generation {
            vocabulary: Some(largest as usize),
            ..Generation::beams(num_beams, 12)
        };
        let fewer = model.generate(&encoded, &generation);
        assert!(fewer.iter().flatten().all(|&id| id < largest));
        assert_ne!(all, fewer);
    }
}
