//! The memory of a step, and settings that fit.
#![allow(clippy::unwrap_used)]

use fpt_schedule::cost::{BatchShape, weight_bytes};
use fpt_schedule::memory::{Layout, Numbers, Recompute, StepSettings, fit, peak};
use fpt_schedule::{ModelShape, PartialSize};

const LARGE: ModelShape = ModelShape::T5_LARGE;
const GB: u64 = 1_000_000_000;

/// The paper's batch.
const BATCH: BatchShape = BatchShape {
    rows: 32,
    source: 492,
    target: 10,
    prompt: 20,
};

const GPU: StepSettings = StepSettings {
    precision: Numbers::F32,
    recompute: Recompute::None,
    accumulate: 1,
    layout: Layout::Gpu,
};

const BF16: StepSettings = StepSettings {
    precision: Numbers::Bf16,
    ..GPU
};

fn total(batch: &BatchShape, settings: &StepSettings) -> u64 {
    peak(&LARGE, &LARGE.full(), batch, settings).total()
}

fn fits(settings: &StepSettings, memory: u64) -> Option<StepSettings> {
    fit(&LARGE, &[(LARGE.full(), BATCH)], settings, memory)
}

#[test]
fn the_papers_batch_fits_an_80_gb_card() {
    assert_eq!(fits(&BF16, 80 * GB), Some(BF16));
    // Also with targets as long as XSum's.
    let long = BatchShape {
        target: 512,
        ..BATCH
    };
    let stages = [(LARGE.full(), long)];
    assert_eq!(fit(&LARGE, &stages, &BF16, 80 * GB), Some(BF16));
}

#[test]
fn it_fits_24_gb_in_parts() {
    let halves = StepSettings {
        accumulate: 2,
        ..BF16
    };
    assert!(total(&BATCH, &halves) < 24 * GB * 9 / 10);
    // Less is changed first.
    let proposed = fits(&GPU, 24 * GB).unwrap();
    let expected = StepSettings {
        recompute: Recompute::Attention,
        ..BF16
    };
    assert_eq!(proposed, expected);
    // What the user wants computed again stays so.
    let layers = StepSettings {
        recompute: Recompute::Layers,
        ..GPU
    };
    let proposed = fits(&layers, 12 * GB).unwrap();
    assert_eq!(proposed.recompute, Recompute::Layers);
}

#[test]
fn changes_come_in_their_order() {
    let mut last = 0;
    let order = |settings: &StepSettings| {
        let recompute = settings.recompute as usize;
        let bf16 = usize::from(settings.precision == Numbers::Bf16);
        match settings.recompute {
            Recompute::Layers => 1000 + settings.accumulate,
            _ => recompute + bf16 + settings.accumulate,
        }
    };
    let mut seen = Vec::new();
    for gigabytes in (2..60).rev() {
        let Some(settings) = fits(&GPU, gigabytes * GB) else {
            break;
        };
        let place = order(&settings);
        assert!(place >= last, "{gigabytes} GB: {settings:?}");
        assert!(total(&BATCH, &settings) <= gigabytes * GB);
        last = place;
        if seen.last() != Some(&settings) {
            seen.push(settings);
        }
    }
    assert_eq!(seen[0], GPU);
    assert!(seen.len() >= 4, "{seen:?}");
    assert_eq!(fits(&GPU, GB), None);
}

#[test]
fn less_is_kept_where_more_is_computed_again() {
    let with = |recompute| StepSettings { recompute, ..BF16 };
    let [none, attention, layers] = [Recompute::None, Recompute::Attention, Recompute::Layers]
        .map(|recompute| total(&BATCH, &with(recompute)));
    assert!(none > attention && attention > layers);
    // Probabilities of the encoder: 16 heads, 24 layers, in bf16; one layer's are there for a while in any case.
    let probabilities = 24 * 16 * 512 * 512 * 2 * 32;
    let saved = none - attention;
    assert!(saved > probabilities * 9 / 10 && saved < probabilities * 11 / 10);
}

#[test]
fn a_partial_model_shares_what_it_keeps_whole() {
    let narrow = |layers, d_ff, heads| {
        let mut size: PartialSize = LARGE.full();
        for stack in [&mut size.encoder, &mut size.decoder] {
            (stack.layers, stack.d_ff, stack.heads) = (layers, d_ff, heads);
        }
        peak(&LARGE, &size, &BATCH, &GPU)
    };
    let full = narrow(24, 2816, 16);
    assert_eq!(full.copies, 0);
    assert_eq!(full.weights, weight_bytes(&LARGE, &LARGE.full(), 4));
    assert_eq!(narrow(6, 2816, 16).copies, 0);
    assert_eq!(narrow(12, 704, 16).copies, 2 * 12 * 3 * 1024 * 704 * 4);
    assert_eq!(narrow(12, 2816, 4).copies, 3 * 12 * 4 * 1024 * 256 * 4);
    assert!(narrow(6, 704, 16).total() < full.total());
}

#[test]
fn sizes_out_of_a_file_do_not_overflow() {
    let shape = ModelShape {
        d_model: usize::MAX,
        ..LARGE
    };
    let batch = BatchShape {
        source: usize::MAX,
        ..BATCH
    };
    let bytes = peak(&shape, &shape.full(), &batch, &GPU);
    assert_eq!(bytes.total(), u64::MAX);
}

#[test]
fn settings_are_written_as_in_a_configuration() {
    let text = serde_json::to_value(BF16).unwrap();
    let expected = serde_json::json!(
        {"precision": "bf16", "recompute": "none", "accumulate": 1, "layout": "gpu"}
    );
    assert_eq!(text, expected);
}
