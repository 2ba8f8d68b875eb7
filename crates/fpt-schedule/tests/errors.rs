//! Schedules that make no sense say so, with the key, the value and the way out.

#![allow(clippy::unwrap_used)]

use fpt_schedule::{
    End, ModelShape, PartialSize, Reduce, Schedule, ScheduleConfig, ScheduleError, Stage,
};

const LARGE: ModelShape = ModelShape::T5_LARGE;

fn error(text: &str) -> ScheduleError {
    toml::from_str::<ScheduleConfig>(text)
        .unwrap()
        .resolve(&LARGE, 100, Reduce::Both)
        .unwrap_err()
}

#[track_caller]
fn check(text: &str, message: &str) {
    assert_eq!(error(text).to_string(), message, "{text}");
}

#[test]
fn steps() {
    assert_eq!(
        ScheduleConfig::default()
            .resolve(&LARGE, 0, Reduce::Both)
            .unwrap_err()
            .to_string(),
        "a run of 0 steps has no schedule; set the number of steps to at least 1"
    );
    check(
        "method = 'fpt-ld'\npartial_steps = []",
        "`schedule.partial_steps` is empty; name the steps of at least one partial stage, or \
         choose the method pt",
    );
    check(
        "method = 'fpt-ld'\npartial_steps = [10, 0, 10]",
        "`schedule.partial_steps[1]` = 0: a stage needs at least 1 step; set more, or leave the \
         stage out",
    );
    check(
        "method = 'fpt-ld'\npartial_steps = [0.5, 0.3, 20]",
        "`schedule.partial_steps` take 100 of 100 steps, which leaves none for the full model; \
         make them fewer, or the run longer",
    );
    check(
        "method = 'fpt-ld'\npartial_steps = [9223372036854775807, 9223372036854775807, 9]",
        "`schedule.partial_steps` take 18446744073709551615 of 100 steps, which leaves none for \
         the full model; make them fewer, or the run longer",
    );
    check(
        "stages = [{ steps = 0 }, {}]",
        "`schedule.stages[0].steps` = 0: a stage needs at least 1 step; set more, or leave the \
         stage out",
    );
    check(
        "stages = [{ steps = 100 }, {}]",
        "`schedule.stages` take 100 of 100 steps, which leaves none for schedule.stages[1]; make \
         them fewer, or the run longer",
    );
    check(
        "stages = [{ steps = 50 }, { steps = 49 }]",
        "`schedule.stages` have 99 steps, but the run has 100; leave `steps` out of one stage, \
         which then takes the rest",
    );
    check(
        "stages = [{}, { steps = 50 }, {}]",
        "`schedule.stages[0].steps` and `schedule.stages[2].steps` are both left out; only one \
         stage can take the rest of the steps",
    );
}

#[test]
fn sizes() {
    check(
        "method = 'fpt-cr'\ndepth = [6, 12, 25]",
        "`schedule.depth[2]` = 25 is more than the 24 of the full model's encoder; set at most \
         24, or a share such as \"3/4\"",
    );
    check(
        "method = 'fpt-fr'\nwidth = [704, 0, 2112]",
        "`schedule.width[1]` = 0 leaves nothing of the encoder; set at least 1, or leave it out \
         to keep all",
    );
    check(
        "method = 'fpt-hd'\nheads = [4, 8]",
        "`schedule.heads` has 2 values, but `schedule.partial_steps` has 3; each partial stage \
         needs one of both",
    );
    check(
        "stages = [{ steps = 1, layers = 25 }, {}]",
        "`schedule.stages[0].layers` = 25 is more than the 24 of the full model's encoder; set \
         at most 24, or a share such as \"3/4\"",
    );
    check(
        "stages = [{ steps = 1 }, { decoder = { heads = 17 } }]",
        "`schedule.stages[1].decoder.heads` = 17 is more than the 16 of the full model's decoder; \
         set at most 16, or a share such as \"3/4\"",
    );
    check(
        "stages = [{ steps = 1, decoder = { d_ff = 0 } }, {}]",
        "`schedule.stages[0].decoder.d_ff` = 0 leaves nothing of the decoder; set at least 1, or \
         leave it out to keep all",
    );
    check(
        "stages = [{ steps = 1, max_source = 0 }, {}]",
        "`schedule.stages[0].max_source` = 0 leaves no token; set at least 1, or leave it out for \
         no limit",
    );
}

#[test]
fn ends_and_kinds() {
    check(
        "stages = [{ steps = 1 }, { layers = 18 }]",
        "`schedule.stages[1]`, the last stage, is not the full model: `encoder.layers` is 18 of \
         24; end with the full model, or allow it with `schedule.end = \"partial\"`",
    );
    check(
        "method = 'fpt-cr'\nstages = [{}]",
        "`schedule.method` = \"fpt-cr\" and `schedule.stages` exclude each other; remove one",
    );
}

/// Sizes that don't reduce anything are passed over.
#[test]
fn unused_sizes_do_no_harm() {
    for method in ["pt", "fr-1/2", "fpt-fr"] {
        let text = format!("method = '{method}'\ndepth = [99]\nheads = []");
        let config: ScheduleConfig = toml::from_str(&text).unwrap();
        config.resolve(&LARGE, 100, Reduce::Both).unwrap();
    }
}

#[test]
fn schedules_made_by_hand() {
    let full = LARGE.full();
    let stage = |size| Stage::new(1, size);
    let new = |stages, end| Schedule::new(stages, &full, end).map_err(|error| error.to_string());
    let mut large = full;
    large.decoder.d_ff = 3000;
    let mut partial = full;
    partial.decoder.heads = 8;
    let mut none = full;
    none.encoder.layers = 0;

    assert!(new(vec![], End::Full).unwrap_err().contains("is empty"));
    for (size, end, message) in [
        (
            large,
            End::Partial,
            "`schedule.stages[0].decoder.d_ff` = 3000 is more than the 2816",
        ),
        (
            none,
            End::Partial,
            "`schedule.stages[0].encoder.layers` = 0 leaves nothing",
        ),
        (partial, End::Full, "`decoder.heads` is 8 of 16"),
    ] as [(PartialSize, End, &str); 3]
    {
        let error = new(vec![stage(size)], end).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert!(new(vec![stage(partial)], End::Partial).is_ok());
    assert!(new(vec![stage(partial), stage(full)], End::Full).is_ok());

    // What was read may belong to another model.
    let schedule = new(vec![stage(full)], End::Full).unwrap();
    assert!(schedule.check_fits(&full).is_ok());
    assert!(matches!(
        schedule.check_fits(&partial),
        Err(ScheduleError::TooLarge {
            value: 16,
            full: 8,
            ..
        })
    ));
}
