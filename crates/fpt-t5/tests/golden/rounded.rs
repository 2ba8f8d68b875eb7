//! Weights in bf16 and in int8, on the processor: what differs from f32 is rounding alone.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use fpt_lab::{Expected, shipped_model, values};
use fpt_t5::{Generation, Lm, LmBatch, MacCounter, NoTaps, SaveOptions, T5};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Loss, and gradient of the prompt that the fixture holds.
fn loss_and_gradient(model: &T5, expected: &Expected) -> (f64, Vec<f64>) {
    let device = Device::flex();
    let prompt = expected.floats("prompt", &device.clone().autodiff());
    let prompt = prompt.require_grad();
    let batch = batch(expected);
    let loss = model.loss(Some(prompt.clone()), &batch, &mut NoTaps).mean();
    let gradients = loss.backward();
    let gradient = prompt.grad(&gradients).unwrap();
    assert_eq!(gradient.dtype(), DType::F32);
    (values(loss.inner())[0], values(gradient))
}

fn batch(expected: &Expected) -> LmBatch {
    let device = Device::flex();
    LmBatch {
        source: expected.ints("input_ids", &device),
        mask: expected.floats("attention_mask", &device),
        labels: expected.ints("labels", &device),
    }
}

/// The largest difference, relative to the largest number.
fn difference(ours: &[f64], theirs: &[f64]) -> f64 {
    let largest = theirs.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let pairs = ours.iter().zip(theirs);
    pairs.fold(0.0, |a: f64, (ours, theirs)| a.max((ours - theirs).abs())) / largest
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// The fixture's weights are bf16 already: what is rounded is what they multiply.
#[test]
fn of_weights_that_are_bf16_only_activations_are_rounded() {
    let directory = golden("bf16");
    let expected = Expected::read(&directory.join("expected.safetensors"));
    let model = T5::from_pretrained(&directory, &Device::flex()).unwrap();
    let full = loss_and_gradient(&model, &expected);
    let model = model.into_bf16().unwrap();
    let head = model.lm_head.as_ref().map(|head| head.weight.val().dtype());
    assert_eq!(head.unwrap_or(DType::BF16), DType::BF16);
    let linear = &model.encoder.block[0].feed_forward.wo.weight;
    assert_eq!(linear.val().dtype(), DType::BF16);
    assert!(!linear.val().is_require_grad());
    assert_eq!(model.encoder.final_norm.weight.val().dtype(), DType::F32);
    assert_eq!(model.encoder.position_bias.weight.val().dtype(), DType::F32);
    let half = loss_and_gradient(&model, &expected);
    let ratio = half.0 / full.0;
    assert!((ratio - 1.0).abs() < 1e-3 && ratio != 1.0, "{ratio}");
    let cosine = cosine(&half.1, &full.1);
    assert!(cosine > 0.999, "{cosine}");
}

#[test]
fn rounding_changes_loss_and_gradient_a_little() {
    let mut rounded = 0;
    for case in ["gated_untied", "gated_tied", "relu_tied", "relu_untied"] {
        let directory = golden(case);
        let expected = Expected::read(&directory.join("expected.safetensors"));
        let model = T5::from_pretrained(&directory, &Device::flex()).unwrap();
        let full = loss_and_gradient(&model, &expected);
        let half = loss_and_gradient(&model.into_bf16().unwrap(), &expected);
        assert!(
            (half.0 / full.0 - 1.0).abs() < 0.01,
            "{case}: {half:?}, {full:?}"
        );
        let cosine = cosine(&half.1, &full.1);
        assert!(cosine > 0.99, "{case}: {cosine}");
        rounded += usize::from(difference(&half.1, &full.1) > 1e-5);
    }
    assert_eq!(rounded, 4, "weights were rounded");
}

/// Both weights and what they multiply are rounded to integers.
#[test]
fn integers_change_loss_and_gradient_a_little() {
    for case in ["gated_untied", "gated_tied", "relu_tied", "relu_untied"] {
        let directory = golden(case);
        let expected = Expected::read(&directory.join("expected.safetensors"));
        let model = T5::from_pretrained(&directory, &Device::flex()).unwrap();
        let full = loss_and_gradient(&model, &expected);
        let model = model.into_int8().unwrap();
        let head = model.lm_head.as_ref().unwrap().weight.val();
        assert!(
            matches!(head.dtype(), DType::QFloat(_)),
            "{:?}",
            head.dtype()
        );
        assert_eq!(model.shared.weight.val().dtype(), DType::BF16);
        let rounded = loss_and_gradient(&model, &expected);
        let ratio = rounded.0 / full.0;
        let cosine = cosine(&rounded.1, &full.1);
        assert!(
            (ratio - 1.0).abs() < 0.02 && ratio != 1.0,
            "{case}: {ratio}"
        );
        assert!(cosine > 0.98, "{case}: {cosine}");
    }
}

/// But where rounding decides: without a prompt it does not know what is asked of it. Of its gradient little is lost, more than
/// with bf16.
#[test]
fn the_scale_model_answers_alike_in_int8() {
    let model = T5::from_pretrained(shipped_model(), &Device::flex()).unwrap();
    let expected = Expected::read(&golden("mini_world.safetensors"));
    let answers = |model: &T5| {
        let batch = batch(&expected);
        model.answer(None, batch.source, batch.mask, &Generation::greedy(6))
    };
    let gradient = |model: &T5| {
        let prompt = model.shared.weight.val().cast(DType::F32);
        let prompt = prompt.slice([100..120, 0..64]).autodiff().require_grad();
        let (_, gradient) =
            model.loss_and_gradient(&prompt, &batch(&expected), 1.0, &mut MacCounter::default());
        values(gradient)
    };
    let (full, full_gradient) = (answers(&model), gradient(&model));
    let bf16 = cosine(
        &gradient(&model.clone().into_bf16().unwrap()),
        &full_gradient,
    );
    let model = model.into_int8().unwrap();
    let int8 = cosine(&gradient(&model), &full_gradient);
    assert!(bf16 > 0.998 && int8 > 0.97 && int8 < bf16, "{bf16} {int8}");
    let rounded = answers(&model);
    let same = rounded.iter().zip(&full).filter(|(a, b)| a == b);
    assert!(same.count() + 1 >= full.len(), "{rounded:?}");
}

/// The scale model answers alike, and what is written is what a checkpoint in bf16 is.
#[test]
fn the_scale_model_answers_alike_and_is_saved() {
    let device = Device::flex();
    let model = T5::from_pretrained(shipped_model(), &device).unwrap();
    let expected = Expected::read(&golden("mini_world.safetensors"));
    let answers = |model: &T5| {
        let batch = batch(&expected);
        model.answer(None, batch.source, batch.mask, &Generation::greedy(6))
    };
    let full = answers(&model);
    let [plain, half] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let options = SaveOptions {
        bf16: true,
        ..SaveOptions::default()
    };
    model.save_pretrained(plain.path(), options).unwrap();
    let model = model.into_bf16().unwrap();
    assert_eq!(answers(&model), full);
    model.save_pretrained(half.path(), options).unwrap();
    let file = |directory: &Path| std::fs::read(directory.join("model.safetensors")).unwrap();
    assert!(file(plain.path()) == file(half.path()));
}
