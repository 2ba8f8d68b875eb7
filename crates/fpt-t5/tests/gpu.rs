//! A device of WGPU against the processor and against transformers. It may be rendered by software, so shapes are tiny.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use burn::tensor::{Device, DeviceKind, FloatDType};
use fpt_lab::{Expected, assert_close, assert_logits, values, visible};
use fpt_t5::{Generation, Lm, Loss, T5, parity, prepend};

fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

#[test]
fn every_operation_is_that_of_the_processor() {
    for seed in 0..3 {
        let found = parity::check(&device(), FloatDType::F32, seed);
        assert!(found.len() > 40);
        for parity in found {
            assert!(parity.holds(), "{parity:?}");
        }
    }
}

#[test]
fn a_model_is_that_of_transformers() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gated_untied");
    let expected = Expected::read(&case.join("expected.safetensors"));
    let device = device();
    let model = T5::from_pretrained(&case, &device).unwrap();
    let ids = expected.ints("input_ids", &device);
    let mask = expected.floats("attention_mask", &device);
    let labels = expected.ints("labels", &device);
    let prompt = expected
        .floats("prompt", &device.clone().autodiff())
        .require_grad();

    let (embeddings, mask) = prepend(Some(prompt.clone()), model.embed(ids), mask);
    let mask_values = values(mask.clone());
    let encoded = model.encode(embeddings, mask);
    assert_close(
        "encoder output",
        &visible(&values(encoded.hidden.clone().inner()), &mask_values),
        &visible(expected.values("encoder_output"), &mask_values),
        1e-4,
    );
    let logits = model.decode(model.shift_right(labels.clone()), &encoded, None);
    let logits_values = values(logits.clone().inner());
    assert_logits("gated_untied", &logits_values, expected.values("logits"));
    let loss = Loss::new(logits, labels).mean();
    let loss_values = values(loss.clone().inner());
    assert_close("loss", &loss_values, expected.values("loss"), 1e-4);
    let gradients = loss.backward();
    assert_close(
        "prompt gradient",
        &values(prompt.grad(&gradients).unwrap()),
        expected.values("prompt_grad"),
        2e-4,
    );
}

/// Cached decoding, token by token, finds what the processor finds.
#[test]
fn answers_are_those_of_the_processor() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/relu_tied");
    let expected = Expected::read(&case.join("expected.safetensors"));
    let answer = |device: &Device, generation: &Generation| {
        let model = T5::from_pretrained(&case, device).unwrap();
        let source = expected.ints("input_ids", device);
        let mask = expected.floats("attention_mask", device);
        model.answer(None, source, mask, generation)
    };
    for generation in [Generation::greedy(6), Generation::beams(2, 5)] {
        let ours = answer(&device(), &generation);
        assert_eq!(ours, answer(&Device::flex(), &generation));
    }
}

#[test]
fn wgsl_knows_no_bf16() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gated_tied");
    let model = T5::from_pretrained(&case, &device()).unwrap();
    let error = model.into_bf16().unwrap_err().to_string();
    assert!(error.contains("bf16") && error.contains("f32"), "{error}");
}
