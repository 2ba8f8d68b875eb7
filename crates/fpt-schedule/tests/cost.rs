//! Parameters, memory, and what all costs have in common.

#![allow(clippy::unwrap_used)]

use fpt_schedule::cost::{
    BatchShape, PAPER_SOURCE, activation_bytes, paper_macs, paper_share, parameters, true_macs,
    true_share, weight_bytes,
};
use fpt_schedule::{
    End, ModelShape, PartialSize, Reduce, Schedule, ScheduleConfig, Share, StackSize, Stage,
};
use proptest::prelude::*;

const BATCH: BatchShape = BatchShape {
    rows: 32,
    source: 492,
    target: 10,
    prompt: 20,
};

/// As `sum(p.numel() for p in T5ForConditionalGeneration.from_pretrained(name).parameters())`.
#[test]
fn parameters_are_those_of_the_checkpoints() {
    let t5_small = ModelShape {
        d_model: 512,
        d_kv: 64,
        d_ff: 2048,
        heads: 8,
        encoder_layers: 6,
        decoder_layers: 6,
        vocabulary: 32128,
        gated: false,
        own_head: false,
    };
    for (shape, expected) in [
        (ModelShape::T5_LARGE, 783_150_080),
        (ModelShape::T5_XL, 2_849_757_184),
        (t5_small, 60_506_624),
    ] {
        assert_eq!(parameters(&shape, &shape.full()), expected);
        assert_eq!(weight_bytes(&shape, &shape.full(), 2), 2 * expected);
    }
}

/// Written out for one layer each, one row, four source and two target positions, one head.
#[test]
fn activations_by_hand() {
    let shape = ModelShape {
        d_model: 8,
        d_kv: 3,
        d_ff: 5,
        heads: 1,
        encoder_layers: 1,
        decoder_layers: 1,
        vocabulary: 11,
        gated: true,
        own_head: true,
    };
    let batch = BatchShape {
        rows: 1,
        source: 3,
        target: 2,
        prompt: 1,
    };
    let encoder = 2 * 4 * 8 + 3 * 4 * 3 + 4 * 4 + 2 * 4 * 5;
    let cross = 2 * 3 + 4 * 3 + 2 * 4;
    let ffn = 2 * 8 + 2 * 2 * 5;
    let ends = 4 * 8 + 2 * 8 + 2 * 11;
    let first = 4 * (encoder + cross + ffn + ends);
    assert_eq!(activation_bytes(&shape, &shape.full(), &batch), first);

    // A second decoder layer is on the path with all of its parts.
    let deeper = ModelShape {
        decoder_layers: 2,
        ..shape
    };
    let second = (2 * 8 + 3 * 2 * 3 + 2 * 2) + (2 * 8 + cross + 4 * 3) + ffn;
    assert_eq!(
        activation_bytes(&deeper, &deeper.full(), &batch),
        first + 4 * second
    );
}

#[test]
fn absurd_dimensions_saturate() {
    let shape = ModelShape {
        d_model: usize::MAX,
        ..ModelShape::T5_XL
    };
    assert_eq!(paper_macs(&shape, &shape.full(), 512, 10), u64::MAX);
    assert_eq!(true_macs(&shape, &shape.full(), &BATCH).total(), u64::MAX);
    assert_eq!(weight_bytes(&shape, &shape.full(), 4), u64::MAX);
}

#[test]
fn shorter_sources_make_a_schedule_cheaper() {
    let shape = ModelShape::T5_LARGE;
    let stage = |max_source| Stage {
        max_source,
        ..Stage::new(10, shape.full())
    };
    let schedule = |first| {
        let stages = vec![stage(first), stage(None)];
        Schedule::new(stages, &shape.full(), End::Full).unwrap()
    };
    assert_eq!(true_share(&shape, &schedule(None), &BATCH), 1.0);
    assert_eq!(true_share(&shape, &schedule(Some(600)), &BATCH), 1.0);
    let half = true_macs(&shape, &shape.full(), &BATCH.of_stage(&stage(Some(128)))).total() as f64
        / true_macs(&shape, &shape.full(), &BATCH).total() as f64;
    let share = true_share(&shape, &schedule(Some(128)), &BATCH);
    assert!((share - (1.0 + half) / 2.0).abs() < 1e-12);

    assert_eq!(paper_share(&shape, &schedule(Some(492)), 10), 1.0);
    assert!(paper_share(&shape, &schedule(Some(128)), 10) < 0.7);
}

#[test]
fn smaller_batches_make_a_schedule_cheaper() {
    let shape = ModelShape::T5_LARGE;
    let first = Stage {
        batch: Share::QUARTER,
        ..Stage::new(10, shape.full())
    };
    let stages = vec![first, Stage::new(10, shape.full())];
    let schedule = Schedule::new(stages, &shape.full(), End::Full).unwrap();
    assert_eq!(paper_share(&shape, &schedule, 10), 0.625);
    let of = |rows| true_share(&shape, &schedule, &BatchShape { rows, ..BATCH });
    assert!((of(32) - 0.625).abs() < 1e-12);
    // A batch has an example at least.
    assert_eq!(of(1), 1.0);
}

/// Per step, both counts see a partial model as about equally cheap.
#[test]
fn both_counts_agree_roughly() {
    let shape = ModelShape::T5_LARGE;
    let config = ScheduleConfig::from("fpt-cr".parse::<fpt_schedule::Method>().unwrap());
    let schedule = config.resolve(&shape, 100, Reduce::Both).unwrap();
    let batch = BatchShape {
        target: 200,
        ..BATCH
    };
    let difference = paper_share(&shape, &schedule, 200) - true_share(&shape, &schedule, &batch);
    assert!(difference.abs() < 0.05, "{difference}");
}

fn stack() -> impl Strategy<Value = StackSize> {
    (1..=24_usize, 1..=2816_usize, 1..=16_usize).prop_map(|(layers, d_ff, heads)| StackSize {
        layers,
        d_ff,
        heads,
    })
}

fn larger(a: StackSize, b: StackSize) -> StackSize {
    StackSize {
        layers: a.layers.max(b.layers),
        d_ff: a.d_ff.max(b.d_ff),
        heads: a.heads.max(b.heads),
    }
}

proptest! {
    #[test]
    fn a_larger_model_never_costs_less(
        small in (stack(), stack()),
        other in (stack(), stack()),
        (rows, source, target, prompt) in (1..9_usize, 0..600_usize, 1..300_usize, 0..50_usize),
        (gated, own_head) in any::<(bool, bool)>(),
    ) {
        let shape = ModelShape { gated, own_head, ..ModelShape::T5_LARGE };
        let batch = BatchShape { rows, source, target, prompt };
        let large = PartialSize {
            encoder: larger(small.0, other.0),
            decoder: larger(small.1, other.1),
        };
        let small = PartialSize { encoder: small.0, decoder: small.1 };
        let costs = |size| {
            let macs = true_macs(&shape, size, &batch);
            [
                paper_macs(&shape, size, PAPER_SOURCE, target),
                macs.forward,
                macs.backward,
                weight_bytes(&shape, size, 4),
                activation_bytes(&shape, size, &batch),
            ]
        };
        for (small, large) in costs(&small).into_iter().zip(costs(&large)) {
            prop_assert!(small <= large);
        }
    }
}
