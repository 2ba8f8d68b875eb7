//! What a dry run says of memory.

use std::path::Path;

use serde_json::{Value, json};

use crate::lab::{Lab, stderr, stdout};

/// A dry run of T5-Large on MNLI, without its files.
fn dry_run(lab: &Lab, more: &[&str]) -> std::process::Output {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let config = configs.join("t5-large.toml").display().to_string();
    let mut arguments = vec!["train", "--config", &config, "--task", "mnli"];
    arguments.extend(["--out", "run", "--dry-run", "--set", "data=nowhere"]);
    arguments.extend(more);
    lab.fpt_in(&arguments, &[("HF_HOME", "cache")])
}

#[test]
fn a_dry_run_says_whether_it_fits_and_what_would() {
    let lab = Lab::new();
    let plan = |more: &[&str]| -> Value {
        let output = dry_run(&lab, &[more, &["--json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
        plan["memory"].clone()
    };
    let roomy = plan(&["--memory", "80GB"]);
    assert_eq!(
        (&roomy["fits"], &roomy["proposed"]),
        (&json!(true), &Value::Null)
    );
    let tight = plan(&["--memory", "24GB"]);
    assert_eq!(tight["fits"], false);
    assert_eq!(
        tight["proposed"]["settings"],
        json!({"precision": "bf16", "recompute": "attention", "accumulate": 1, "layout": "gpu"})
    );
    let peak = tight["proposed"]["peak"].as_u64().unwrap();
    assert!(peak < 24_000_000_000 * 9 / 10, "{peak}");
    // Smaller stages need less.
    let stages = plan(&["--memory", "24GB", "--method", "fpt-cr"])["stages"].clone();
    let kept: Vec<u64> = (0..4)
        .map(|stage| stages[stage]["kept"].as_u64().unwrap())
        .collect();
    assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
}

#[test]
fn what_to_set_is_said_in_words() {
    let lab = Lab::new();
    let text = |memory: &str| {
        let output = dry_run(&lab, &["--memory", memory]);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let roomy = text("80GB");
    assert!(roomy.contains("fits the 80.0 GB of the device"), "{roomy}");
    let tight = text("8GiB");
    for part in [
        "does not fit the 8.6 GB",
        "--set precision=bf16",
        "--set train.recompute=attention",
        "--set train.accumulate=",
    ] {
        assert!(tight.contains(part), "{part} is not in: {tight}");
    }
    assert!(text("1GB").contains("train.batch_size"));

    let output = dry_run(&lab, &["--memory", "much"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("--memory") && message.contains("24GB"),
        "{message}"
    );
}
