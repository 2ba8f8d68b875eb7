//! Schedules in TOML and JSON.

#![allow(clippy::unwrap_used)]

use fpt_schedule::{Amount, ModelShape, Reduce, Schedule, ScheduleConfig, Share};
use serde::{Deserialize, Serialize};

/// A config file, as far as it is ours.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct File {
    schedule: ScheduleConfig,
}

const GENERAL: &str = r#"
[schedule]
name = "short sources first"
reduce = "encoder"
end = "partial"

[[schedule.stages]]
steps = 0.25
batch = 0.5
max_source = 128
layers = "1/4"
d_ff = 704
heads = 0.5
encoder = { layers = 6 }

[[schedule.stages]]
[schedule.stages.decoder]
layers = 12
d_ff = "1/2"
heads = 8
"#;

/// What the README says of its files.
const README: &str = include_str!("../README.md");

fn read(text: &str) -> ScheduleConfig {
    toml::from_str::<File>(text).unwrap().schedule
}

#[test]
fn configs_round_trip() {
    for text in [
        GENERAL,
        "[schedule]",
        "[schedule]\nmethod = \"fpt-hd\"\nheads = [4, 8.0e-1]\npartial_steps = [1, \"1/3\"]",
    ] {
        let file: File = toml::from_str(text).unwrap();
        let again = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<File>(&again).unwrap(), file, "{again}");
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<File>(&json).unwrap(), file, "{json}");
    }
}

#[test]
fn schedules_round_trip() {
    let schedule = read(GENERAL)
        .resolve(&ModelShape::T5_LARGE, 1000, Reduce::Both)
        .unwrap();
    let text = toml::to_string(&schedule).unwrap();
    assert_eq!(toml::from_str::<Schedule>(&text).unwrap(), schedule);
    let json = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    assert_eq!(
        json,
        "{\"stages\":[\
         {\"steps\":250,\"batch\":\"1/2\",\"max_source\":128,\"size\":{\
         \"encoder\":{\"layers\":6,\"d_ff\":704,\"heads\":8},\
         \"decoder\":{\"layers\":24,\"d_ff\":2816,\"heads\":16}}},\
         {\"steps\":750,\"size\":{\
         \"encoder\":{\"layers\":24,\"d_ff\":2816,\"heads\":16},\
         \"decoder\":{\"layers\":12,\"d_ff\":1408,\"heads\":8}}}]}"
    );
}

#[test]
fn amounts_in_all_forms() {
    let config = read("[schedule]\ndepth = [6, 0.25, 1.0, \"1/4\", \"0.25\"]");
    let quarter = Amount::Share(Share::QUARTER);
    let one = Amount::Share(Share::new(1, 1).unwrap());
    assert_eq!(
        config.depth,
        [Amount::Count(6), quarter, one, quarter, quarter]
    );
    assert_eq!(
        config
            .depth
            .iter()
            .map(Amount::to_string)
            .collect::<Vec<_>>(),
        ["6", "1/4", "1/1", "1/4", "1/4"]
    );
    assert_eq!(
        serde_json::from_str::<[Amount; 2]>("[6, 1.0]").unwrap(),
        [Amount::Count(6), one]
    );
}

#[test]
fn the_readme_s_files_are_read() {
    let files: Vec<_> = README
        .split("```toml\n")
        .skip(1)
        .filter_map(|text| text.split("```").next())
        .collect();
    assert_eq!(files.len(), 3);
    for text in &files {
        read(text)
            .resolve(&ModelShape::T5_XL, 15_000, Reduce::Both)
            .unwrap();
    }
    // The first shows the defaults.
    let defaults = ScheduleConfig {
        method: None,
        ..read(files[0])
    };
    assert_eq!(defaults, ScheduleConfig::default());
}

#[test]
fn bad_files_say_where_and_why() {
    for (text, messages) in [
        (
            "method = \"ltd\"",
            ["unknown method `ltd`", "expected pt, fpt-ld"],
        ),
        (
            "methods = \"pt\"",
            ["unknown field `methods`", "expected one of `method`"],
        ),
        (
            "end = \"half\"",
            ["unknown variant `half`", "`full` or `partial`"],
        ),
        (
            "reduce = \"decoder\"",
            ["unknown variant `decoder`", "`encoder` or `both`"],
        ),
        (
            "partial_steps = [1.5]",
            [
                "floating point `1.5`",
                "a count (an integer, 0 or more), or a share",
            ],
        ),
        (
            "depth = [0.0]",
            ["floating point `0.0`", "more than 0 and at most 1.0"],
        ),
        ("depth = [-6]", ["integer `-6`", "0 or more"]),
        (
            "depth = [\"6\"]",
            ["string \"6\"", "a fraction such as \"1/4\""],
        ),
        (
            "depth = [\"5/4\"]",
            ["string \"5/4\"", "a fraction such as \"1/4\""],
        ),
        ("depth = [true]", ["boolean `true`", "a count"]),
        (
            "stages = [{ layer = 6 }]",
            ["unknown field `layer`", "`layers`"],
        ),
        (
            "stages = [{ encoder = { depth = 6 } }]",
            ["unknown field `depth`", "`layers`"],
        ),
        (
            "stages = [{ batch = 16 }]",
            ["integer `16`", "a share of the whole"],
        ),
        (
            "stages = [{ batch = \"3/2\" }]",
            ["string \"3/2\"", "a fraction such as \"1/4\""],
        ),
        (
            "stages = [{ max_source = 0.5 }]",
            ["floating point `0.5`", "usize"],
        ),
    ] {
        let error = toml::from_str::<File>(&format!("[schedule]\n{text}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2"), "{text}: {error}");
        for message in messages {
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}

#[test]
fn impossible_schedules_are_not_read() {
    let stage = "\"size\":{\"encoder\":{\"layers\":1,\"d_ff\":1,\"heads\":1},\
                 \"decoder\":{\"layers\":1,\"d_ff\":1,\"heads\":0}}";
    for (text, message) in [
        ("{\"stages\":[]}", "`schedule.stages` is empty"),
        (
            &format!("{{\"stages\":[{{\"steps\":0,{stage}}}]}}"),
            "`schedule.stages[0].steps` = 0",
        ),
        (
            &format!("{{\"stages\":[{{\"steps\":1,{stage}}}]}}"),
            "`schedule.stages[0].decoder.heads` = 0",
        ),
        (
            &format!("{{\"stages\":[{{\"steps\":1,\"max_source\":0,{stage}}}]}}"),
            "`schedule.stages[0].max_source` = 0",
        ),
    ] {
        let error = serde_json::from_str::<Schedule>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}
