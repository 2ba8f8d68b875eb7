//! Equality with transformers' T5 on partial models: the fixtures of `make_fixtures.py`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use fpt_lab::{Expected, assert_close, assert_logits, values, visible};
use fpt_partial::{
    HeadRule, NeuronRule, Scorer, Scores, Selection, SelectionRules, full_size, partial, shape,
};
use fpt_prompt::SoftPrompt;
use fpt_schedule::cost::{BatchShape, true_macs};
use fpt_t5::{Generation, Lm, LmBatch, Loss, MacCounter, Recompute, T5, prepend};

const CASES: [&str; 2] = ["gated_untied", "relu_tied"];

fn directory(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
}

fn read<T: serde::de::DeserializeOwned>(case: &str, file: &str) -> T {
    let text = std::fs::read_to_string(directory(case).join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

struct Case {
    model: T5,
    expected: Expected,
    prompt: SoftPrompt,
}

impl Case {
    fn load(name: &str) -> Self {
        let expected = Expected::read(&directory(name).join("expected.safetensors"));
        let prompt: Vec<f32> = expected
            .values("prompt")
            .iter()
            .map(|&v| v as f32)
            .collect();
        let shape: [usize; 2] = expected.shape("prompt").try_into().unwrap();
        Self {
            model: T5::from_pretrained(directory(name), &Device::flex()).unwrap(),
            prompt: SoftPrompt::from_values(prompt, shape, &Device::flex().autodiff()),
            expected,
        }
    }

    /// Those of `model` for the fixture's batch, without a prompt.
    fn logits(&self, model: &T5) -> Vec<f64> {
        let device = Device::flex();
        let ids = self.expected.ints("input_ids", &device);
        let mask = self.expected.floats("attention_mask", &device);
        let encoded = model.encode(model.embed(ids), mask);
        let inputs = model.shift_right(self.expected.ints("labels", &device));
        values(model.decode(inputs, &encoded, None))
    }
}

#[test]
fn a_partial_model_is_transformers_with_the_rest_deleted() {
    for name in CASES {
        let case = Case::load(name);
        let selection: Selection = read(name, "selection.json");
        let model = partial(&case.model, &selection).unwrap();
        let (expected, device) = (&case.expected, Device::flex());
        let labels = expected.ints("labels", &device);
        let embeddings = model.embed(expected.ints("input_ids", &device));
        let mask = expected.floats("attention_mask", &device);
        let prefix = Some(case.prompt.weight.val());
        let (embeddings, mask) = prepend(prefix, embeddings, mask);
        let real = values(mask.clone());

        let encoded = model.encode(embeddings, mask);
        assert_close(
            &format!("{name}: encoder output"),
            &visible(&values(encoded.hidden.clone().inner()), &real),
            &visible(expected.values("encoder_output"), &real),
            1e-4,
        );
        let logits = model.decode(model.shift_right(labels.clone()), &encoded, None);
        assert_logits(
            name,
            &values(logits.clone().inner()),
            expected.values("logits"),
        );
        let loss = Loss::new(logits, labels).mean();
        assert_close(
            &format!("{name}: loss"),
            &values(loss.clone().inner()),
            expected.values("loss"),
            1e-4,
        );
        let gradients = loss.backward();
        assert_close(
            &format!("{name}: prompt gradient"),
            &values(case.prompt.weight.val().grad(&gradients).unwrap()),
            expected.values("prompt_grad"),
            1e-4,
        );

        let limit = expected.values("max_new_tokens")[0] as usize;
        let shape = expected.shape("generated");
        let theirs = expected.values("generated").chunks_exact(shape[1]);
        for (ours, theirs) in model
            .generate(&encoded, &Generation::greedy(limit))
            .iter()
            .zip(theirs)
        {
            // The fixture has the start token, and padding after the end.
            let ours: Vec<f64> = ours.iter().map(|&id| f64::from(id)).collect();
            assert_eq!(ours, theirs[1..=ours.len()], "{name}");
            assert!(
                theirs[ours.len() + 1..].iter().all(|id| *id == 0.0),
                "{name}"
            );
        }
    }
}

#[test]
fn scores_are_those_of_transformers() {
    for name in CASES {
        let case = Case::load(name);
        let theirs: Scores = read(name, "scores.json");
        theirs.check(case.model.config()).unwrap();
        let ours = score(&case, true);
        for (stack, ours, theirs) in [
            ("encoder", &ours.encoder, &theirs.encoder),
            ("decoder", &ours.decoder, &theirs.decoder),
        ] {
            let layers = |layers: &[f64]| vec![layers.to_vec()];
            for (what, ours, theirs) in [
                ("layers", &layers(&ours.layers), &layers(&theirs.layers)),
                ("neurons", &ours.neurons, &theirs.neurons),
                ("heads_output", &ours.heads_output, &theirs.heads_output),
                (
                    "heads_gradient",
                    &ours.heads_gradient,
                    &theirs.heads_gradient,
                ),
                (
                    "cross_heads_output",
                    &ours.cross_heads_output,
                    &theirs.cross_heads_output,
                ),
                (
                    "cross_heads_gradient",
                    &ours.cross_heads_gradient,
                    &theirs.cross_heads_gradient,
                ),
            ] {
                assert_eq!(ours.len(), theirs.len(), "{name}: {stack}.{what}");
                for (ours, theirs) in ours.iter().zip(theirs) {
                    assert_close(&format!("{name}: {stack}.{what}"), ours, theirs, 1e-4);
                }
            }
        }
        // Without gradients the rest is the same.
        let forward = score(&case, false);
        assert!(forward.encoder.heads_gradient.is_empty());
        for (one, two) in forward.encoder.neurons.iter().zip(&ours.encoder.neurons) {
            assert_close(&format!("{name}: neurons, forward only"), one, two, 1e-5);
        }
        let (one, two) = (&forward.decoder.layers, &ours.decoder.layers);
        assert_close(&format!("{name}: layers, forward only"), one, two, 1e-5);
    }
}

/// Scores of the fixture's batch, in two parts: they do not depend on how examples are batched.
fn score(case: &Case, gradients: bool) -> Scores {
    let device = Device::flex();
    let mut scorer = Scorer::new(&case.model, gradients);
    let ids = case.expected.ints("input_ids", &device);
    let mask = case.expected.floats("attention_mask", &device);
    let labels = case.expected.ints("labels", &device);
    let prompt = SoftPrompt::from_values(case.prompt.values(), case.prompt.shape(), &device);
    let [rows, _] = ids.dims();
    for part in [0..1, 1..rows] {
        let batch = LmBatch {
            source: ids.clone().slice([part.clone()]),
            mask: mask.clone().slice([part.clone()]),
            labels: labels.clone().slice([part]),
        };
        scorer.add(Some(prompt.weight.val()), &batch);
    }
    scorer.finish().unwrap()
}

#[test]
fn a_selection_of_everything_is_the_model_bit_for_bit() {
    let case = Case::load("gated_untied");
    let whole = partial(&case.model, &Selection::full(case.model.config())).unwrap();
    assert_eq!(case.logits(&whole), case.logits(&case.model));
}

/// What is left of rounded weights are the rounded weights that are left.
#[test]
fn a_partial_model_in_bf16_is_the_partial_model_rounded() {
    for name in CASES {
        let case = Case::load(name);
        let selection: Selection = read(name, "selection.json");
        let half = case.model.clone().into_bf16().unwrap();
        let one_way = partial(&half, &selection).unwrap();
        let weight = one_way.encoder.block[0].feed_forward.wo.weight.val();
        assert_eq!(weight.dtype(), DType::BF16);
        let other_way = partial(&case.model, &selection).unwrap();
        let other_way = other_way.into_bf16().unwrap();
        assert_close(name, &case.logits(&one_way), &case.logits(&other_way), 1e-5);
    }
}

#[test]
fn partial_models_of_partial_models_are_partial_models() {
    let case = Case::load("gated_untied");
    let mut once = Selection::full(case.model.config());
    once.encoder.heads = vec![vec![1, 3]; 5];
    let mut twice = once.clone();
    twice.encoder.heads = vec![vec![1]; 5];
    let device = Device::flex();
    let run = |model: &T5| {
        let ids = case.expected.ints("input_ids", &device);
        let mask = case.expected.floats("attention_mask", &device);
        values(model.encode(model.embed(ids), mask).hidden)
    };
    let one_way = partial(&case.model, &twice).unwrap();
    let mut then = once.clone();
    then.encoder.heads = vec![vec![1]; 5];
    let narrow = partial(&case.model, &once).unwrap();
    // Head 3 of the full model is head 1 of the narrow one.
    let mut last = twice.clone();
    last.encoder.heads = vec![vec![3]; 5];
    assert_eq!(
        run(&partial(&narrow, &then).unwrap()),
        run(&partial(&case.model, &last).unwrap())
    );
    assert_ne!(run(&one_way), run(&partial(&narrow, &then).unwrap()));
}

#[test]
fn the_true_count_is_what_a_forward_pass_multiplies() {
    for name in CASES {
        let case = Case::load(name);
        let device = Device::flex();
        let config = case.model.config();
        let full = full_size(config);
        let shape = shape(config);
        let mut sizes = vec![full];
        for encoder in [(1, 3, 1), (2, 7, 2), (2, 16, 3)] {
            let mut size = full;
            (size.encoder.layers, size.encoder.d_ff, size.encoder.heads) = encoder;
            sizes.push(size);
            (size.decoder.layers, size.decoder.d_ff, size.decoder.heads) = (1, 5, 2);
            sizes.push(size);
        }
        let rules = SelectionRules {
            neurons: NeuronRule::First,
            heads: HeadRule::Random,
            ..SelectionRules::default()
        };
        for size in sizes {
            let selection = rules.select(&size, config, None, 0).unwrap();
            let model = partial(&case.model, &selection).unwrap();
            let ids = case.expected.ints("input_ids", &device);
            let labels = case.expected.ints("labels", &device);
            let [rows, source] = ids.dims();
            let [_, target] = labels.dims();
            let [prompt, _] = case.prompt.shape();
            let mut counter = MacCounter::default();
            let batch = LmBatch {
                source: ids,
                mask: case.expected.floats("attention_mask", &device),
                labels,
            };
            model.loss(Some(case.prompt.weight.val()), &batch, &mut counter);
            let batch = BatchShape {
                rows,
                source,
                target,
                prompt,
            };
            let counted = true_macs(&shape, &size, &batch).forward;
            assert_eq!(counter.macs, counted, "{name}: {size:?}");
        }
    }
}

#[test]
fn what_a_model_computes_again_its_partial_models_do_too() {
    let case = Case::load("gated_untied");
    let mut selection = Selection::full(case.model.config());
    selection.encoder.heads = vec![vec![1, 3]; 5];
    for recompute in [Recompute::None, Recompute::Attention, Recompute::Layers] {
        let model = case.model.clone().recomputing(recompute);
        let partial = partial(&model, &selection).unwrap();
        assert_eq!(partial.recompute(), recompute);
        let attention = recompute == Recompute::Attention;
        let attentions = [
            (
                &partial.encoder.block[0].attention,
                attention || recompute == Recompute::Layers,
            ),
            (&partial.decoder.block[0].attention, attention),
            (&partial.decoder.block[0].cross_attention, attention),
        ];
        for (attention, recomputed) in attentions {
            let told = format!("recompute: {recomputed}");
            let attention = format!("{attention:?}");
            assert!(attention.contains(&told), "{attention}");
        }
    }
}
