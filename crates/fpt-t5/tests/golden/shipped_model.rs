//! transformers on the shipped scale model: the directory loads there unchanged, and computes the same here.
//! Fixture: `tests/golden/check_model_dir.py datasets/mini-world/model
//! crates/fpt-t5/tests/golden/mini_world_texts.json crates/fpt-t5/tests/golden/mini_world.safetensors`.

use std::path::Path;

use burn::tensor::Device;
use fpt_lab::{Expected, assert_close, assert_logits, shipped_model, values};
use fpt_t5::{Generation, Loss, T5, T5Tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Text {
    source: String,
    target: String,
}

#[test]
fn shipped_model_equals_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = shipped_model();
    let device = Device::flex();
    let model = T5::from_pretrained(&directory, &device).unwrap();
    let tokenizer = T5Tokenizer::from_file(directory.join("tokenizer.json")).unwrap();
    tokenizer.check_fits(model.config()).unwrap();
    let expected = Expected::read(&root.join("tests/golden/mini_world.safetensors"));

    // The texts become the same ids.
    let texts = std::fs::read_to_string(root.join("tests/golden/mini_world_texts.json")).unwrap();
    let texts: Vec<Text> = serde_json::from_str(&texts).unwrap();
    assert!(texts.len() >= 5);
    let ids = |name: &str, row: usize| -> Vec<u32> {
        let width = expected.shape(name)[1];
        let row = &expected.values(name)[row * width..][..width];
        let real = row.iter().filter(|&&id| id > 0.0);
        real.map(|&id| id as u32).collect()
    };
    for (row, text) in texts.iter().enumerate() {
        assert_eq!(
            tokenizer.encode(&text.source).unwrap(),
            ids("input_ids", row)
        );
        assert_eq!(tokenizer.encode(&text.target).unwrap(), ids("labels", row));
    }

    let labels = expected.ints("labels", &device);
    let encoded = model.encode(
        model.embed(expected.ints("input_ids", &device)),
        expected.floats("attention_mask", &device),
    );
    let inputs = model.shift_right(labels.clone());
    let logits = model.decode(inputs, &encoded, None);
    assert_logits("logits", &values(logits.clone()), expected.values("logits"));
    let loss = values(Loss::new(logits, labels).mean());
    assert_close("loss", &loss, expected.values("loss"), 1e-4);

    let width = expected.shape("generated")[1];
    let generated = model.generate(&encoded, &Generation::greedy(width - 1));
    for (row, ours) in generated.iter().enumerate() {
        let theirs = &expected.values("generated")[row * width..][..width];
        let mut padded = vec![0.0];
        padded.extend(ours.iter().map(|&id| f64::from(id)));
        padded.resize(width, 0.0);
        assert_eq!(padded, theirs, "row {row}");
    }

    // Rows that end early leave the batch; the others go on as they would alone, and as transformers', which stay.
    let mut lengths: Vec<usize> = generated.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    assert!(lengths[lengths.len().div_ceil(4) - 1] < lengths[lengths.len() - 1]);
    for (row, together) in generated.iter().enumerate() {
        let alone = encoded.select(&[row]);
        let alone = model.generate(&alone, &Generation::greedy(width - 1));
        assert_eq!(&alone[0], together, "row {row}");
    }
}
