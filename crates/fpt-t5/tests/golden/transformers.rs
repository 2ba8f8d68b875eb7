//! Equality with transformers' T5 on the fixtures of `tests/golden/make_fixtures.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use fpt_lab::{Expected, assert_close, assert_logits, values, visible};
use fpt_t5::{
    AttentionKind, EncoderOutput, Generation, KvCache, Lm, LmBatch, Loss, MacCounter, NoTaps,
    Recompute, SaveOptions, StackKind, T5, Taps, prepend,
};
use safetensors::SafeTensors;

fn directory(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
}

fn expected(case: &str) -> Expected {
    Expected::read(&directory(case).join("expected.safetensors"))
}

/// Everything the fixtures hold about one case.
#[allow(clippy::too_many_lines, reason = "one model is asked everything")]
fn check(case: &str) {
    let device = Device::flex();
    let model = T5::from_pretrained(directory(case), &device).unwrap();
    let expected = expected(case);
    let ids = expected.ints("input_ids", &device);
    let mask = expected.floats("attention_mask", &device);
    let labels = expected.ints("labels", &device);

    // Without a prompt.
    let encoded = model.encode(model.embed(ids.clone()), mask.clone());
    assert_close(
        &format!("{case}: encoder output"),
        &visible(
            &values(encoded.hidden.clone()),
            expected.values("attention_mask"),
        ),
        &visible(
            expected.values("noprompt.encoder_output"),
            expected.values("attention_mask"),
        ),
        1e-4,
    );
    let logits = model.decode(model.shift_right(labels.clone()), &encoded, None);
    assert_logits(
        case,
        &values(logits.clone()),
        expected.values("noprompt.logits"),
    );
    let loss = values(Loss::new(logits, labels.clone()).mean());
    assert_close(
        &format!("{case}: loss"),
        &loss,
        expected.values("noprompt.loss"),
        1e-4,
    );

    // With a trainable prompt before the input, on frozen weights.
    let prompt = expected
        .floats("prompt", &device.clone().autodiff())
        .require_grad();
    check_recomputed(case, &model, &expected, &prompt);
    let (embeddings, mask) = prepend(Some(prompt.clone()), model.embed(ids), mask);
    let mask_values = values(mask.clone());
    let encoded = model.encode(embeddings, mask);
    assert_close(
        &format!("{case}: prompted encoder output"),
        &visible(&values(encoded.hidden.clone().inner()), &mask_values),
        &visible(expected.values("encoder_output"), &mask_values),
        1e-4,
    );
    let logits = model.decode(model.shift_right(labels.clone()), &encoded, None);
    assert_logits(
        case,
        &values(logits.clone().inner()),
        expected.values("logits"),
    );
    let loss = Loss::new(logits, labels).mean();
    assert_close(
        &format!("{case}: prompted loss"),
        &values(loss.clone().inner()),
        expected.values("loss"),
        1e-4,
    );
    let gradients = loss.backward();
    assert_close(
        &format!("{case}: prompt gradient"),
        &values(prompt.grad(&gradients).unwrap()),
        expected.values("prompt_grad"),
        1e-4,
    );

    // Greedy generation: transformers' rows start with the start token and are padded.
    let encoded = EncoderOutput {
        hidden: encoded.hidden.inner(),
        mask: encoded.mask,
    };
    let length = expected.shape("generated")[1];
    let generated = model.generate(&encoded, &Generation::greedy(length - 1));
    for (row, theirs) in generated
        .iter()
        .zip(expected.values("generated").chunks_exact(length))
    {
        let mut ours = vec![model.config().decoder_start_token_id];
        ours.extend(row);
        ours.resize(length, model.config().pad_id());
        let theirs: Vec<u32> = theirs.iter().map(|&id| id as u32).collect();
        assert_eq!(ours, theirs, "{case}: generated ids");
    }
    assert!(
        generated.iter().any(|row| row.last() == Some(&1)) || case.starts_with("long"),
        "{case}: the fixture should exercise the end of a sequence"
    );
}

/// Loss and gradient of the prompt, whatever is computed again.
fn check_recomputed(case: &str, model: &T5, expected: &Expected, prompt: &Tensor<2>) {
    let device = model.device();
    let batch = LmBatch {
        source: expected.ints("input_ids", &device),
        mask: expected.floats("attention_mask", &device),
        labels: expected.ints("labels", &device),
    };
    let labels = expected.values("labels").iter();
    let count = labels.filter(|&&id| id >= 0.0).count() as f64;
    for recompute in [Recompute::None, Recompute::Attention, Recompute::Layers] {
        let model = model.clone().recomputing(recompute);
        let mut counter = MacCounter::default();
        let (loss, gradient) = model.loss_and_gradient(prompt, &batch, count, &mut counter);
        for (name, ours) in [("loss", values(loss)), ("prompt_grad", values(gradient))] {
            let told = format!("{case}: {name}, {recompute:?}");
            assert_close(&told, &ours, expected.values(name), 1e-4);
        }
    }
}

#[test]
fn gated_untied_uneven_depth() {
    check("gated_untied");
}

#[test]
fn relu_tied() {
    check("relu_tied");
}

#[test]
fn gated_tied() {
    check("gated_tied");
}

#[test]
fn mt5_with_its_own_defaults() {
    check("mt5");
}

#[test]
fn relu_untied() {
    check("relu_untied");
}

#[test]
fn far_positions_small_buckets() {
    check("long");
}

#[test]
fn far_positions_default_buckets() {
    check("long_default");
}

#[test]
fn weights_stored_as_bf16() {
    check("bf16");
}

/// Collects what passes.
#[derive(Default)]
struct Collector(HashMap<String, Vec<f64>>);

impl Taps for Collector {
    fn feed_forward(&mut self, stack: StackKind, layer: usize, activation: Tensor<3>) -> Tensor<3> {
        let stack = format!("{stack:?}").to_lowercase();
        self.0.insert(
            format!("tap.{stack}.{layer}.ffn"),
            values(activation.clone()),
        );
        activation
    }

    fn heads(
        &mut self,
        stack: StackKind,
        layer: usize,
        kind: AttentionKind,
        heads: Tensor<4>,
    ) -> Tensor<4> {
        let kind = match kind {
            AttentionKind::SelfAttention => "self_heads",
            AttentionKind::CrossAttention => "cross_heads",
        };
        let stack = format!("{stack:?}").to_lowercase();
        self.0
            .insert(format!("tap.{stack}.{layer}.{kind}"), values(heads.clone()));
        heads
    }
}

#[test]
fn taps_see_what_hooks_see() {
    for case in ["gated_untied", "relu_tied"] {
        let device = Device::flex();
        let model = T5::from_pretrained(directory(case), &device).unwrap();
        let expected = expected(case);
        let ids = expected.ints("input_ids", &device);
        let prompt = expected.floats("prompt", &device);
        let mask = expected.floats("attention_mask", &device);
        let (embeddings, mask) = prepend(Some(prompt), model.embed(ids), mask);
        let source_mask = values(mask.clone());
        let mut taps = Collector::default();
        let encoded = model.encode_tapped(embeddings, mask, &mut taps);
        let inputs = model.shift_right(expected.ints("labels", &device));
        model.decode_tapped(inputs, &encoded, None, &mut taps);

        let names: Vec<&String> = expected
            .names()
            .filter(|name| name.starts_with("tap."))
            .collect();
        assert_eq!(names.len(), taps.0.len(), "{case}");
        for name in names {
            let (ours, theirs) = (&taps.0[name], expected.values(name));
            if name.contains(".encoder.") {
                let (ours, theirs) = (visible(ours, &source_mask), visible(theirs, &source_mask));
                assert_close(&format!("{case}: {name}"), &ours, &theirs, 1e-4);
            } else {
                assert_close(&format!("{case}: {name}"), ours, theirs, 1e-4);
            }
        }
    }
}

#[test]
fn decoding_step_by_step_equals_teacher_forcing() {
    let device = Device::flex();
    let model = T5::from_pretrained(directory("gated_untied"), &device).unwrap();
    let expected = expected("gated_untied");
    let encoded = model.encode(
        model.embed(expected.ints("input_ids", &device)),
        expected.floats("attention_mask", &device),
    );
    let inputs = model.shift_right(expected.ints("labels", &device));
    let [batch, length] = inputs.dims();
    let whole = model.decode(inputs.clone(), &encoded, None);

    // In pieces of one, of two, and the rest: the cache must not care how it was filled, nor how much is expected.
    let whole = values(whole);
    for expected in [0, 2, length, 100] {
        let mut cache = KvCache::expecting(expected);
        let mut pieces = Vec::new();
        for (from, to) in [(0, 1), (1, 3), (3, length)] {
            let piece = inputs.clone().slice([0..batch, from..to]);
            // What a copy of the cache goes on with is not for this one.
            _ = model.decode(piece.clone() + 1, &encoded, Some(&mut cache.clone()));
            pieces.push(model.decode_tapped(piece, &encoded, Some(&mut cache), &mut NoTaps));
            assert_eq!(cache.length(), to);
        }
        let logits = values(Tensor::cat(pieces, 1));
        assert_close("stepwise logits", &logits, &whole, 1e-5);
    }
}

#[test]
fn saved_checkpoint_loads_with_the_same_weights() {
    for case in ["gated_untied", "relu_tied", "gated_tied", "relu_untied"] {
        let device = Device::flex();
        let model = T5::from_pretrained(directory(case), &device).unwrap();
        let copy = tempfile::tempdir().unwrap();
        model
            .save_pretrained(copy.path(), SaveOptions::default())
            .unwrap();
        let again = T5::from_pretrained(copy.path(), &device).unwrap();
        assert_eq!(again.config(), model.config(), "{case}");

        // The names and bytes of the original file come back.
        let read = |path: PathBuf| std::fs::read(path.join("model.safetensors")).unwrap();
        let (before, after) = (read(directory(case)), read(copy.path().to_path_buf()));
        let before = SafeTensors::deserialize(&before).unwrap();
        let after = SafeTensors::deserialize(&after).unwrap();
        let mut compared = 0;
        for (name, view) in before.tensors() {
            let tied_copy = name == "lm_head.weight" && model.lm_head.is_none();
            if tied_copy || name.ends_with("embed_tokens.weight") {
                continue;
            }
            let copied = after.tensor(&name).unwrap();
            assert_eq!(copied.shape(), view.shape(), "{case}: {name}");
            assert_eq!(copied.data(), view.data(), "{case}: {name}");
            compared += 1;
        }
        assert_eq!(compared, after.len(), "{case}");
    }
}

#[test]
fn frozen_weights_get_no_gradients() {
    let device = Device::flex();
    let model = T5::from_pretrained(directory("gated_untied"), &device).unwrap();
    let weight = model.encoder.block[0].feed_forward.wo.weight.val();
    assert!(!weight.is_require_grad());
    assert!(!weight.is_autodiff());
}
