//! Numbers at the edges, in configurations, options and files: they work, or an error names them; nothing panics, aborts
//! or runs out of memory.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::lab::{Lab, error_of, stderr, stdout};

/// Values that a number of a configuration may be set to.
const VALUES: [&str; 9] = [
    "0",
    "1",
    "-1",
    "10000000000",
    "9223372036854775807",
    "1e300",
    "-0.5",
    "nan",
    "inf",
];

/// Settings that are left out where nothing sets them.
const OPTIONAL: [&str; 9] = [
    "train.batch_tokens",
    "train.accumulate",
    "eval.batch_tokens",
    "eval.dev_examples",
    "lengths.max_target",
    "schedule.depth",
    "schedule.partial_steps",
    "schedule.stages",
    "lengths.pad_to",
];

/// It worked, or an error of which `name` is a part stopped it.
fn worked_or_named(output: &Output, name: &str, what: &str) -> bool {
    let message = error_of(output);
    match output.status.code() {
        Some(0) => true,
        Some(1 | 2) => {
            assert!(message.starts_with("error: "), "{what}: {message}");
            assert!(message.contains(name), "{what}: {name} not in: {message}");
            false
        }
        code => panic!("{what}: {code:?}: {message}"),
    }
}

/// The keys of all numbers of a configuration.
fn numbers(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(key.into()),
        Value::Object(table) => {
            for (name, value) in table {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                numbers(value, &key, found);
            }
        }
        _ => {}
    }
}

fn dry_run(lab: &Lab, setting: &str) -> Output {
    lab.train("mnli", &["--dry-run", "--json", "--set", setting])
}

#[test]
fn every_number_of_a_configuration() {
    let lab = Lab::new();
    let output = dry_run(&lab, "train.steps=1");
    assert!(output.status.success(), "{}", stderr(&output));
    let shown: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let mut keys = Vec::new();
    numbers(&shown["config"], "", &mut keys);
    assert!(keys.len() >= 14, "{keys:?}");
    keys.extend(OPTIONAL.map(String::from));
    let (mut works, mut refused) = (0, 0);
    for key in &keys {
        for value in VALUES {
            let setting = match key.as_str() {
                "schedule.depth" => format!(
                    "schedule={{ method = \"fpt-ld\", partial_steps = [1], depth = [{value}] }}"
                ),
                "schedule.partial_steps" => format!(
                    "schedule={{ method = \"fpt-ld\", partial_steps = [{value}], depth = [1] }}"
                ),
                "schedule.stages" => {
                    format!("schedule={{ stages = [{{ max_source = {value} }}] }}")
                }
                "lengths.pad_to" => {
                    format!("{key}={{ fixed = {{ source = {value}, target = 1 }} }}")
                }
                key => format!("{key}={value}"),
            };
            let output = dry_run(&lab, &setting);
            // Of lengths that may be given in two ways, the reader names what is above them.
            let name = if key.contains("pad_to") {
                "pad_to"
            } else {
                key.rsplit('.').next().unwrap()
            };
            if worked_or_named(&output, name, &setting) {
                works += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(works > keys.len() && refused > 3 * keys.len());
}

/// What a dry run lets pass trains, but for what would take days.
#[test]
fn large_numbers_that_are_allowed_train() {
    let lab = Lab::new();
    let large = i64::MAX;
    let settings = [
        "train.steps=1".to_string(),
        "train.batch_size=1000000".into(),
        "eval.batch_size=1000000".into(),
        "selection.score.batch_size=1000000".into(),
        "lengths.pad_to.multiple=256".into(),
        "lengths.max_source=65536".into(),
        format!("train.batch_tokens={large}"),
        format!("eval.batch_tokens={large}"),
        format!("eval.every={large}"),
        format!("eval.dev_examples={large}"),
        format!("selection.score.examples={large}"),
        format!("seed={large}"),
    ];
    let mut arguments = vec!["--method", "fr-1/2"];
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }
    let output = lab.train("mnli", &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn every_number_of_a_model() {
    let lab = Lab::new();
    let path = lab.path("model/config.json");
    let shipped: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut keys = Vec::new();
    numbers(&shipped, "", &mut keys);
    keys.retain(|key| !["dropout_rate", "initializer_factor"].contains(&key.as_str()));
    assert!(keys.len() > 11, "{keys:?}");
    let values = [
        json!(0),
        json!(1),
        json!(-1),
        json!(1 << 20),
        json!(1_u64 << 61),
        json!(1_u64 << 62),
        json!(u64::MAX),
        json!(1e300),
    ];
    for key in &keys {
        for value in &values {
            let mut config = shipped.clone();
            config[key] = value.clone();
            fs::write(&path, config.to_string()).unwrap();
            let what = format!("{key} = {value}");
            let told = dry_run(&lab, "train.steps=1");
            if !worked_or_named(&told, "config.json", &what) {
                continue;
            }
            let arguments = ["predict", "--model", "model", "--max-new-tokens", "2"];
            worked_or_named(&lab.fpt(&arguments, "hello\n"), "error: model/", &what);
        }
    }
    // Heads and their width are each in order, but not together.
    let mut config = shipped.clone();
    config["num_heads"] = json!(1 << 20);
    config["d_kv"] = json!(1 << 20);
    fs::write(&path, config.to_string()).unwrap();
    let message = stderr(&dry_run(&lab, "train.steps=1"));
    assert!(message.contains("`num_heads` times `d_kv`"), "{message}");
}

/// The arguments before an option, the option, and others that keep the work small.
type Case<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, &'a str)]);

const PREDICT: &[&str] = &["predict", "--model", "model"];
const STEP: &[&str] = &["bench", "step", "--model-shape", "mini"];
const SMALL: &[(&str, &str)] = &[
    ("--batch", "1"),
    ("--source", "4"),
    ("--target", "2"),
    ("--prompt", "2"),
    ("--steps", "1"),
    ("--warmup", "0"),
];
const DRY: &[&str] = &[
    "train",
    "--config",
    "lab.toml",
    "--task",
    "mnli",
    "--out",
    "run",
    "--dry-run",
];
const EVAL: &[&str] = &["eval", "--config", "lab.toml", "--task", "mnli"];
const CHECK: &[&str] = &["data", "check", "--task", "mnli", "data/mnli/train.tsv"];

const OPTIONS: [Case<'_>; 20] = [
    (PREDICT, "--max-new-tokens", &[]),
    (PREDICT, "--num-beams", &[("--max-new-tokens", "3")]),
    (PREDICT, "--batch-size", &[]),
    (PREDICT, "--max-source", &[]),
    (PREDICT, "--length-penalty", &[("--num-beams", "2")]),
    (PREDICT, "--device", &[]),
    (STEP, "--batch", SMALL),
    (STEP, "--source", SMALL),
    (STEP, "--target", SMALL),
    (STEP, "--prompt", SMALL),
    (STEP, "--steps", SMALL),
    (STEP, "--warmup", SMALL),
    (STEP, "--peak-tflops", SMALL),
    (&["bench", "products", "--sizes", "4x4x4"], "--repeats", &[]),
    (&["bench", "products"], "--sizes", &[]),
    (DRY, "--memory", &[]),
    (DRY, "--seed", &[]),
    (EVAL, "--limit", &[]),
    (CHECK, "--problems", &[]),
    (&["transfer", "none"], "--examples", &[]),
];

const OPTION_VALUES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "1000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "nan",
    "inf",
    "cuda:18446744073709551615",
    "1x1x1",
    "4294967296x4294967296x4294967296",
];

#[test]
fn every_number_of_an_option() {
    let lab = Lab::new();
    for (base, option, others) in OPTIONS {
        for value in OPTION_VALUES {
            let assignment = format!("{option}={value}");
            let others = others.iter().filter(|(name, _)| *name != option);
            let others = others.flat_map(|(name, value)| [*name, *value]);
            let mut arguments: Vec<&str> = base.iter().copied().chain(others).collect();
            arguments.push(&assignment);
            let what = arguments.join(" ");
            // Devices and seeds are named by their values; there are no runs to transfer between.
            let name = match option {
                "--device" | "--examples" => "",
                "--seed" => "seed",
                option => option,
            };
            worked_or_named(&lab.fpt(&arguments, "hello\n"), name, &what);
        }
    }
}

#[test]
fn products_that_no_memory_suffices_for() {
    let lab = Lab::new();
    let size = "100000000x100000000x1";
    let output = lab.fpt(&["bench", "products", "--sizes", size], "");
    assert!(!worked_or_named(&output, "of memory, but", size));
    let step = [
        "bench",
        "step",
        "--model-shape",
        "t5-xl",
        "--batch",
        "1000000",
    ];
    let output = lab.fpt(&step, "");
    assert!(!worked_or_named(&output, "--batch", "a large step"));
}

/// Numbers that are put in the place of the last of a file.
const WRONG: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

fn spoil(lab: &Lab, name: &str, number: f32) {
    let mut bytes = fs::read(lab.path(name)).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&number.to_le_bytes());
    fs::write(lab.path(name), bytes).unwrap();
}

#[test]
fn weights_and_prompts_that_are_not_finite() {
    let lab = Lab::new();
    let output = lab.train("mnli", &["--set", "train.steps=1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let predict = |more: &[&str]| {
        let arguments = [&["predict", "--model", "model"], more].concat();
        stderr(&lab.fpt(&arguments, "hello\n"))
    };
    for wrong in WRONG {
        let weights = "run/adapter/adapter_model.safetensors";
        spoil(&lab, weights, wrong);
        let message = predict(&["--adapter", "run/adapter"]);
        for part in ["error: ", weights, "`prompt_embeddings`", "NaN or infinite"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        let good = fs::read(lab.path("model/model.safetensors")).unwrap();
        spoil(&lab, "model/model.safetensors", wrong);
        let message = predict(&[]);
        for part in [
            "error: model/model.safetensors: ",
            "has a number that is NaN or infinite",
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        fs::write(lab.path("model/model.safetensors"), good).unwrap();
    }
}

/// The prompt that the last step makes is judged as all others are.
#[test]
fn an_update_that_overflows_at_the_last_step() {
    let lab = Lab::new();
    let settings = [
        "--set",
        "train.steps=1",
        "--set",
        "train.learning_rate=1e39",
    ];
    let output = lab.train("mnli", &settings);
    assert!(!worked_or_named(&output, "diverged", "a large step"));
    assert!(!worked_or_named(&output, "at step 1", "a large step"));
    assert!(!lab.path("run").exists() && !lab.path("run.partial/adapter").exists());
}

#[test]
fn texts_are_cut_where_that_is_asked_for() {
    let lab = Lab::new();
    let long = format!("hello\n{}\n{}\n", "piano ".repeat(300), "ring ".repeat(40));
    let arguments = ["predict", "--model", "model", "--max-source", "20"];
    let output = lab.fpt(&arguments, &long);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 3);
    let message = stderr(&output);
    assert!(
        message.contains("2 texts were cut to 20 tokens"),
        "{message}"
    );
    let output = lab.fpt(&["predict", "--model", "model"], "hello\n");
    assert!(!stderr(&output).contains("cut"), "{}", stderr(&output));
}

/// A text that is too long for the memory is refused before it is tried.
#[cfg(target_os = "linux")]
mod within_little_memory {
    use std::process::Command;

    use super::*;

    /// `fpt` with no more than so many kibibytes of addresses.
    fn limited(lab: &Lab, kibibytes: u64, arguments: &str) -> Output {
        let program = env!("CARGO_BIN_EXE_fpt");
        let script = format!("ulimit -v {kibibytes}; exec {program} {arguments}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(lab.path(""));
        command.output().unwrap()
    }

    #[test]
    fn a_text_that_is_too_long_is_named() {
        let lab = Lab::new();
        let text = format!("hello\n{}\nhello\n", "piano ".repeat(200_000));
        fs::write(lab.path("texts"), text).unwrap();
        let output = limited(&lab, 1_500_000, "predict --model model --input texts");
        let what = "a long text";
        assert!(!worked_or_named(&output, "line 2 of texts", what));
        assert!(!worked_or_named(&output, "--max-source", what));
        let arguments = "predict --model model --input texts --max-source 100";
        let output = limited(&lab, 1_500_000, arguments);
        assert!(worked_or_named(&output, "", what));
    }

    #[test]
    fn fewer_texts_are_taken_together_where_memory_is_short() {
        let lab = Lab::new();
        let words = ["piano ", "ring ", "fish ", "market "];
        let texts: Vec<String> = (0..24).map(|i| words[i % 4].repeat(200 + 10 * i)).collect();
        fs::write(lab.path("texts"), texts.join("\n")).unwrap();
        let roomy = lab.fpt(&["predict", "--model", "model", "--input", "texts"], "");
        assert!(roomy.status.success(), "{}", stderr(&roomy));
        let output = limited(&lab, 1_500_000, "predict --model model --input texts");
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), stdout(&roomy));
    }

    #[test]
    fn a_batch_that_is_too_large_is_not_evaluated() {
        let lab = Lab::new();
        lab.edit("data/mnli/dev_matched.tsv", |text| {
            text.replacen(". ", &format!("{}. ", " piano".repeat(70_000)), 1)
        });
        let eval = "eval --config lab.toml --task mnli --split dev --set lengths.max_source";
        let output = limited(&lab, 1_500_000, &format!("{eval}=65536"));
        let what = "a long text in a batch";
        assert!(!worked_or_named(&output, "a batch of 6 texts", what));
        assert!(!worked_or_named(&output, "eval.batch_size", what));
        assert!(!worked_or_named(&output, "lengths.max_source", what));
        let output = limited(&lab, 1_500_000, &format!("{eval}=100"));
        assert!(worked_or_named(&output, "", what));
    }

    #[test]
    fn a_prompt_that_is_too_long_for_a_step_is_named() {
        let lab = Lab::new();
        let arguments = "train --config lab.toml --task mnli --out run --set prompt.length=65536";
        let output = limited(&lab, 6_000_000, arguments);
        assert!(!worked_or_named(&output, "prompt.length", "a long prompt"));
        assert!(!lab.path("run").exists() && !lab.path("run.partial").exists());
    }
}
