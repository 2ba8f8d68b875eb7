//! How prompts start.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use fpt_prompt::{PromptError, PromptInit, SoftPrompt};
use fpt_t5::{T5, T5Error};

fn model() -> T5 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fpt-t5/tests/golden/gated_untied");
    T5::from_pretrained(path, &Device::flex()).unwrap()
}

fn make(init: &PromptInit, length: usize, seed: u64) -> Result<SoftPrompt, PromptError> {
    // A tokenizer that gives every word its length as id.
    let encode = |text: &str| {
        let mut ids: Vec<u32> = text.split_whitespace().map(|w| w.len() as u32).collect();
        ids.push(1);
        Ok::<_, T5Error>(ids)
    };
    init.prompt(length, &model(), seed, encode, &Device::flex())
}

/// Rows of the model's embedding.
fn rows(ids: &[i32]) -> Vec<f32> {
    let model = model();
    let ids = Tensor::<1, Int>::from_data(ids, &model.device()).unsqueeze();
    model.embed(ids).into_data().iter::<f32>().collect()
}

#[test]
fn uniform_stays_within_its_bound_and_fills_it() {
    let values = make(&PromptInit::Uniform, 200, 0).unwrap().values();
    assert_eq!(values.len(), 200 * 16);
    let bound = 0.25; // sqrt(1/16)
    assert!(values.iter().all(|v| v.abs() <= bound));
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
    assert!(mean.abs() < 0.01, "mean {mean}");
    assert!(
        (variance / (bound * bound / 3.0) - 1.0).abs() < 0.1,
        "variance {variance}"
    );
}

#[test]
fn the_seed_decides() {
    let vocabulary = PromptInit::SampledVocabulary { ids: 3..64 };
    for init in [PromptInit::Uniform, vocabulary] {
        let values = |seed| make(&init, 20, seed).unwrap().values();
        assert_eq!(values(7), values(7));
        assert_ne!(values(7), values(8));
    }
}

#[test]
fn sampled_vocabulary_takes_every_row_once_while_they_last() {
    let init = PromptInit::SampledVocabulary { ids: 10..14 };
    let values = make(&init, 6, 1).unwrap().values();
    let wanted: Vec<Vec<f32>> = (10..14).map(|id| rows(&[id])).collect();
    let found: Vec<&[f32]> = values.chunks_exact(16).collect();
    assert_eq!(found.len(), 6);
    for row in &wanted {
        let times = found[..4].iter().filter(|f| **f == row.as_slice()).count();
        assert_eq!(times, 1);
    }
    assert!(found[4..].iter().all(|f| wanted.iter().any(|row| row == f)));
}

#[test]
fn text_is_repeated_or_cut() {
    let init = PromptInit::Text {
        text: "a bb ccc".into(),
    };
    // `a` has id 1, which ends a sequence here and is left out.
    assert_eq!(make(&init, 5, 0).unwrap().values(), rows(&[2, 3, 2, 3, 2]));
    assert_eq!(make(&init, 1, 0).unwrap().values(), rows(&[2]));
}

#[test]
fn what_cannot_be_is_refused() {
    for (init, length, complaint) in [
        (PromptInit::Uniform, 0, "at least one"),
        (
            PromptInit::SampledVocabulary { ids: 3..65 },
            4,
            "vocabulary of 64",
        ),
        (PromptInit::SampledVocabulary { ids: 9..9 }, 4, "empty"),
        (PromptInit::Text { text: " ".into() }, 4, "no token"),
        (
            PromptInit::Text {
                text: "x".repeat(64),
            },
            4,
            "exceeds the vocabulary",
        ),
    ] {
        let message = make(&init, length, 0).unwrap_err().to_string();
        assert!(
            message.contains(complaint),
            "`{complaint}` is not in: {message}"
        );
    }
}
