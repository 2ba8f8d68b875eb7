//! From methods and stages to numbers.

#![allow(clippy::unwrap_used)]

use fpt_schedule::{
    Amount, End, Method, ModelShape, PartialSize, Reduce, Schedule, ScheduleConfig, Share,
    StackConfig, StackSize, Stage, StageConfig,
};

const LARGE: ModelShape = ModelShape::T5_LARGE;
const FULL: StackSize = StackSize {
    layers: 24,
    d_ff: 2816,
    heads: 16,
};

fn resolve(method: &str, reduce: Reduce) -> Schedule {
    ScheduleConfig::from(method.parse::<Method>().unwrap())
        .resolve(&LARGE, 30_000, reduce)
        .unwrap()
}

fn check(method: &str, expected: &[(usize, StackSize)]) {
    for reduce in [Reduce::Encoder, Reduce::Both] {
        let schedule = resolve(method, reduce);
        assert_eq!(schedule.steps(), 30_000);
        let expected: Vec<_> = expected
            .iter()
            .map(|&(steps, size)| {
                let decoder = match reduce {
                    Reduce::Encoder => FULL,
                    Reduce::Both => size,
                };
                let encoder = size;
                Stage::new(steps, PartialSize { encoder, decoder })
            })
            .collect();
        assert_eq!(schedule.stages(), expected, "{method} {reduce:?}");
    }
}

/// Three stages of 6000 steps, then 12 000 on the full model.
fn check_fpt(method: &str, sizes: [StackSize; 3]) {
    let [first, second, third] = sizes.map(|size| (6000, size));
    check(method, &[first, second, third, (12_000, FULL)]);
}

fn layers(layers: usize) -> StackSize {
    StackSize { layers, ..FULL }
}

fn d_ff(d_ff: usize) -> StackSize {
    StackSize { d_ff, ..FULL }
}

fn heads(heads: usize) -> StackSize {
    StackSize { heads, ..FULL }
}

fn compound(layers: usize, d_ff: usize) -> StackSize {
    StackSize {
        layers,
        d_ff,
        ..FULL
    }
}

#[test]
fn methods_of_the_paper_on_t5_large() {
    check("pt", &[(30_000, FULL)]);
    check("ld-1/4", &[(30_000, layers(6))]);
    check("fr-0.5", &[(30_000, d_ff(1408))]);
    check("cr-3/4", &[(30_000, compound(18, 2112))]);
    check("hd-1/4", &[(30_000, heads(4))]);
    check_fpt("fpt-ld", [6, 12, 18].map(layers));
    check_fpt("fpt-fr", [704, 1408, 2112].map(d_ff));
    check_fpt("fpt-hd", [4, 8, 12].map(heads));
    check_fpt(
        "fpt-cr",
        [compound(6, 704), compound(12, 1408), compound(18, 2112)],
    );
}

#[test]
fn nothing_said_is_prompt_tuning() {
    let schedule = ScheduleConfig::default().resolve(&LARGE, 30_000, Reduce::Both);
    assert_eq!(schedule.unwrap(), resolve("pt", Reduce::Both));
}

#[test]
fn the_config_decides_which_stacks_are_reduced() {
    let config = ScheduleConfig {
        reduce: Some(Reduce::Encoder),
        .."fpt-ld".parse::<Method>().unwrap().into()
    };
    let schedule = config.resolve(&LARGE, 30_000, Reduce::Both);
    assert_eq!(schedule.unwrap(), resolve("fpt-ld", Reduce::Encoder));
}

#[test]
fn stacks_of_different_depth_take_shares_of_their_own() {
    let shape = ModelShape {
        decoder_layers: 8,
        ..LARGE
    };
    let config = ScheduleConfig::from("ld-1/4".parse::<Method>().unwrap());
    let schedule = config.resolve(&shape, 10, Reduce::Both).unwrap();
    let size = schedule.stages()[0].size;
    assert_eq!((size.encoder.layers, size.decoder.layers), (6, 2));
}

#[test]
fn stages_one_by_one() {
    let config = ScheduleConfig {
        stages: vec![
            StageConfig {
                steps: Some(Amount::Count(10)),
                batch: Some(Share::HALF),
                max_source: Some(128),
                layers: Some(Amount::Count(6)),
                encoder: Some(StackConfig {
                    layers: Some(Amount::Count(8)),
                    heads: Some(Amount::Count(12)),
                    d_ff: None,
                }),
                ..StageConfig::default()
            },
            StageConfig {
                decoder: Some(StackConfig {
                    d_ff: Some(Amount::Count(100)),
                    ..StackConfig::default()
                }),
                ..StageConfig::default()
            },
            StageConfig {
                steps: Some(Amount::Count(30)),
                ..StageConfig::default()
            },
        ],
        ..ScheduleConfig::default()
    };
    let encoder = StackSize {
        layers: 8,
        heads: 12,
        ..FULL
    };
    let stage = |steps, encoder, decoder| Stage::new(steps, PartialSize { encoder, decoder });
    let first = Stage {
        batch: Share::HALF,
        max_source: Some(128),
        ..stage(10, encoder, layers(6))
    };
    let schedule = config.resolve(&LARGE, 100, Reduce::Both).unwrap();
    assert_eq!(
        schedule.stages(),
        [first, stage(60, FULL, d_ff(100)), stage(30, FULL, FULL),]
    );

    // What is said of the decoder itself holds; what is said of both stacks does not reach it.
    let schedule = config.resolve(&LARGE, 100, Reduce::Encoder).unwrap();
    assert_eq!(
        schedule.stages()[0].size,
        PartialSize {
            encoder,
            decoder: FULL
        }
    );
    assert_eq!(schedule.stages()[1].size.decoder, d_ff(100));
}

#[test]
fn a_schedule_may_end_partial_if_it_says_so() {
    let config = ScheduleConfig {
        end: End::Partial,
        stages: vec![StageConfig {
            layers: Some(Amount::Count(6)),
            ..StageConfig::default()
        }],
        ..ScheduleConfig::default()
    };
    let schedule = config.resolve(&LARGE, 30_000, Reduce::Both).unwrap();
    assert_eq!(schedule, resolve("ld-1/4", Reduce::Both));
}

#[test]
fn labels() {
    let mut config = ScheduleConfig::default();
    assert_eq!(config.label(), "PT");
    config.stages = vec![StageConfig::default()];
    assert_eq!(config.label(), "stages");
    config.name = Some("short sources first".into());
    assert_eq!(config.label(), "short sources first");
    let config = ScheduleConfig::from("fpt-cr".parse::<Method>().unwrap());
    assert_eq!(config.label(), "FPT-CR");
}
