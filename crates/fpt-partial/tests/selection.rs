//! Which parts stay.
#![allow(clippy::unwrap_used)]

use fpt_partial::{
    HeadRule, LayerRule, Needs, NeuronRule, PartialError, PartialSize, Scores, Selection,
    SelectionRules, StackScores, even_layers, full_size,
};
use fpt_t5::T5Config;
use proptest::prelude::*;

fn config() -> T5Config {
    serde_json::from_value(serde_json::json!({
        "vocab_size": 64, "d_model": 8, "d_kv": 2, "d_ff": 12, "num_heads": 6, "num_layers": 7,
        "num_decoder_layers": 5, "feed_forward_proj": "gated-gelu",
    }))
    .unwrap()
}

/// Scores with ties, as zeros of dead neurons are.
fn scores(values: &[u8]) -> Scores {
    let config = config();
    let mut next = values.iter().cycle().map(|&v| f64::from(v));
    let mut list = |count: usize| -> Vec<f64> { next.by_ref().take(count).collect() };
    let mut stack = |layers: usize, cross: bool| {
        let mut lists = |width: usize, layers: usize| (0..layers).map(|_| list(width)).collect();
        let heads = config.num_heads;
        let cross_layers = if cross { layers } else { 0 };
        StackScores {
            neurons: lists(config.d_ff, layers),
            heads_output: lists(heads, layers),
            heads_gradient: lists(heads, layers),
            cross_heads_output: lists(heads, cross_layers),
            cross_heads_gradient: lists(heads, cross_layers),
            layers: list(layers),
        }
    };
    Scores {
        encoder: stack(7, false),
        decoder: stack(5, true),
    }
}

fn rules() -> impl Strategy<Value = SelectionRules> {
    (0..3usize, 0..3usize, 0..4usize).prop_map(|(layers, neurons, heads)| SelectionRules {
        layers: [LayerRule::Even, LayerRule::First, LayerRule::Score][layers],
        neurons: [
            NeuronRule::Activation,
            NeuronRule::First,
            NeuronRule::Random,
        ][neurons],
        heads: [
            HeadRule::Output,
            HeadRule::Gradient,
            HeadRule::First,
            HeadRule::Random,
        ][heads],
    })
}

fn sizes() -> impl Strategy<Value = PartialSize> {
    (1..=7usize, 1..=12usize, 1..=6usize, 1..=5usize).prop_map(|(layers, d_ff, heads, decoder)| {
        let mut size = full_size(&config());
        (size.encoder.layers, size.encoder.d_ff, size.encoder.heads) = (layers, d_ff, heads);
        (size.decoder.layers, size.decoder.d_ff, size.decoder.heads) = (decoder, d_ff, heads);
        size
    })
}

#[test]
fn layers_are_spread_as_in_the_paper() {
    assert_eq!(even_layers(24, 6), [0, 4, 8, 13, 18, 23]);
    assert_eq!(
        even_layers(24, 12),
        [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23]
    );
    assert_eq!(
        even_layers(24, 18),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 21, 23]
    );
    assert_eq!(even_layers(24, 1), [0]);
    assert_eq!(even_layers(1, 1), [0]);
}

proptest! {
    #[test]
    fn evenly_spread_layers_keep_both_ends(layers in 1..200usize, share in 0.0..1.0f64) {
        let keep = 1 + (share * layers as f64) as usize;
        let kept = even_layers(layers, keep.min(layers));
        prop_assert_eq!(kept.len(), keep.min(layers));
        prop_assert!(kept.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(kept[0], 0);
        if kept.len() > 1 {
            prop_assert_eq!(kept[kept.len() - 1], layers - 1);
            let gaps: Vec<usize> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(gaps.iter().max().unwrap() - gaps.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn selections_have_the_size_asked_for_and_fit_the_model(
        rules in rules(), size in sizes(), values in prop::collection::vec(0..5u8, 97), seed: u64,
    ) {
        let scores = scores(&values);
        let selection = rules.select(&size, &config(), Some(&scores), seed).unwrap();
        prop_assert_eq!(selection.size(), size);
        for (stack, layers) in [(&selection.encoder, 7), (&selection.decoder, 5)] {
            let lists = [(&stack.neurons, 12), (&stack.heads, 6), (&stack.cross_heads, 6)];
            let own = std::iter::once((&stack.layers, layers));
            let each = lists.iter().flat_map(|(lists, limit)| lists.iter().map(|l| (l, *limit)));
            for (list, limit) in own.chain(each) {
                prop_assert!(list.is_sorted_by(|a, b| a < b));
                prop_assert!(list.iter().all(|item| *item < limit));
            }
        }
        // The same again.
        prop_assert_eq!(rules.select(&size, &config(), Some(&scores), seed).unwrap(), selection);
    }

    #[test]
    fn what_a_smaller_size_keeps_a_larger_one_keeps_too(
        rules in rules(), sizes in (sizes(), sizes()), values in prop::collection::vec(0..5u8, 97),
    ) {
        let scores = scores(&values);
        let (mut small, mut large) = sizes;
        for (small, large) in [
            (&mut small.encoder, &mut large.encoder),
            (&mut small.decoder, &mut large.decoder),
        ] {
            for (a, b) in [
                (&mut small.layers, &mut large.layers),
                (&mut small.d_ff, &mut large.d_ff),
                (&mut small.heads, &mut large.heads),
            ] {
                if *a > *b {
                    std::mem::swap(a, b);
                }
            }
        }
        let select = |size| rules.select(&size, &config(), Some(&scores), 3).unwrap();
        let (small, large) = (select(small), select(large));
        for (small, large) in [(&small.encoder, &large.encoder), (&small.decoder, &large.decoder)] {
            if rules.layers != LayerRule::Even {
                prop_assert!(small.layers.iter().all(|layer| large.layers.contains(layer)));
            }
            for (place, layer) in small.layers.iter().enumerate() {
                let Some(there) = large.layers.iter().position(|l| l == layer) else { continue };
                for (a, b) in [(&small.neurons, &large.neurons), (&small.heads, &large.heads)] {
                    prop_assert!(a[place].iter().all(|item| b[there].contains(item)));
                }
            }
        }
    }
}

#[test]
fn the_highest_scores_stay() {
    let config = config();
    let mut scores = scores(&[1]);
    scores.encoder.neurons[3] = vec![0., 5., 1., 4., 0., 3., 0., 0., 0., 2., 0., 0.];
    scores.decoder.cross_heads_gradient[0] = vec![0., 1., 7., 3., 0., 9.];
    let mut size = full_size(&config);
    (size.encoder.d_ff, size.decoder.heads) = (3, 2);
    let rules = SelectionRules {
        heads: HeadRule::Gradient,
        ..SelectionRules::default()
    };
    let selection = rules.select(&size, &config, Some(&scores), 0).unwrap();
    assert_eq!(selection.encoder.neurons[3], [1, 3, 5]);
    // Of equals, the first.
    assert_eq!(selection.encoder.neurons[0], [0, 1, 2]);
    assert_eq!(selection.decoder.cross_heads[0], [2, 5]);
    assert_eq!(selection.decoder.heads[0], [0, 1]);
}

#[test]
fn scores_are_needed_only_for_what_is_reduced() {
    let config = config();
    let rules = SelectionRules::default();
    let full = full_size(&config);
    assert_eq!(rules.needs(&full, &config), Needs::Nothing);
    let mut fewer_layers = full;
    fewer_layers.encoder.layers = 2;
    assert_eq!(rules.needs(&fewer_layers, &config), Needs::Nothing);
    let mut fewer_heads = fewer_layers;
    fewer_heads.decoder.heads = 2;
    assert_eq!(rules.needs(&fewer_heads, &config), Needs::Forward);
    let gradient = SelectionRules {
        heads: HeadRule::Gradient,
        ..rules
    };
    assert_eq!(gradient.needs(&fewer_heads, &config), Needs::Gradients);
    assert_eq!(
        rules.select(&fewer_heads, &config, None, 0).unwrap_err(),
        PartialError::NoScores {
            rule: "output",
            what: "head scores"
        }
    );
    let whole = rules.select(&full, &config, None, 0).unwrap();
    assert!(whole.is_full(&config));
    assert_eq!(whole, Selection::full(&config));
}

#[test]
fn sizes_and_scores_that_do_not_fit_are_named() {
    let config = config();
    let rules = SelectionRules::default();
    let mut size = full_size(&config);
    size.decoder.layers = 6;
    let error = rules.select(&size, &config, None, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "decoder.layers is 6, but must be between 1 and the model's 5"
    );
    let mut other = scores(&[1]);
    other.encoder.neurons[2].pop();
    let error = other.check(&config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the scores are of another model: encoder.neurons has 11 entries a layer, the model 12"
    );
    let mut other = scores(&[1]);
    other.decoder.cross_heads_output.clear();
    let error = other.check(&config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the scores are of another model: decoder.cross_heads_output has 0 layers, the model 5"
    );
}
