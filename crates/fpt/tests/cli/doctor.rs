//! `fpt doctor`, and what `fpt train` makes of its verdicts.

use std::fs;

use serde_json::{Value, json};

use crate::lab::{Lab, stderr, stdout};

fn doctor(lab: &Lab, more: &[&str]) -> Value {
    let arguments = [&["doctor", "--device", "cpu", "--json"], more].concat();
    let output = lab.fpt_in(&arguments, &[("XDG_CACHE_HOME", "user-cache")]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn the_processor_is_well() {
    let lab = Lab::new();
    let report = doctor(&lab, &[]);
    assert_eq!(report["safe"], true);
    let examinations = report["examinations"].as_array().unwrap();
    let precisions: Vec<&Value> = examinations.iter().map(|it| &it["precision"]).collect();
    assert_eq!(precisions, ["f32", "bf16"]);
    for examination in examinations {
        let checks = examination["checks"].as_array().unwrap();
        let names: Vec<&str> = checks
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        for part in [
            "gated GELU: logits",
            "ReLU, tied head: loss",
            "partial model: gradient of the prompt",
            "ten steps of training",
            "greedy decoding",
            "beam search",
            "with a cache",
        ] {
            assert!(
                names.iter().any(|name| name.contains(part)),
                "{part}: {names:?}"
            );
        }
        for check in checks {
            assert_eq!(check["ok"], true, "{check}");
            let error = check["error"].as_f64().unwrap();
            assert!(error <= check["bound"].as_f64().unwrap(), "{check}");
        }
    }
    // It is what others are compared with: there is no verdict of it.
    assert!(!lab.path("user-cache").exists());
    let conclusion = report["conclusion"].as_str().unwrap();
    assert!(conclusion.contains("f32 and bf16"), "{conclusion}");
}

#[test]
fn another_process_makes_the_same_checks() {
    let lab = Lab::new();
    let checks = |more: &[&str]| -> Vec<String> {
        let report = doctor(&lab, &[&["--precision", "f32"], more].concat());
        let checks = report["examinations"][0]["checks"].as_array().unwrap();
        let name = |check: &Value| check["name"].as_str().unwrap().to_string();
        checks.iter().map(name).collect()
    };
    let (once, twice) = (checks(&[]), checks(&["--isolate"]));
    assert_eq!(twice.len(), 2 * once.len());
    assert_eq!(twice[..once.len()], once);
    let again = &twice[once.len()];
    assert!(
        again.ends_with(&once[0]) && again.contains("autotune"),
        "{again}"
    );
}

#[test]
fn the_last_line_says_what_is_safe() {
    let lab = Lab::new();
    let output = lab.fpt(&["doctor", "--precision", "f32"], "");
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("cpu"), "{text}");
    assert!(lines[1].starts_with("fusion"), "{text}");
    assert!(lines[2].starts_with("in f32"), "{text}");
    let (last, checks) = lines[3..].split_last().unwrap();
    assert!(checks.iter().all(|line| line.starts_with("ok ")), "{text}");
    assert_eq!(
        *last,
        "cpu computes rightly in f32: it is safe to train there."
    );
}

/// Verdicts are for devices that are compared with the processor.
#[test]
fn a_verdict_of_the_processor_counts_for_nothing() {
    let lab = Lab::new();
    let of = json!({
        "device": "cpu", "identity": null, "driver": null, "precision": "f32", "program": "any",
    });
    let verdicts = json!([{"of": of, "failed": ["loss"]}]);
    fs::create_dir_all(lab.path("user-cache/fpt")).unwrap();
    let file = lab.path("user-cache/fpt/doctor.json");
    fs::write(&file, verdicts.to_string()).unwrap();
    for (run, force) in [("one", &[][..]), ("two", &["--force"][..])] {
        let arguments = [
            "train", "--config", "lab.toml", "--task", "xsum", "--out", run,
        ];
        let arguments = [&arguments[..], force].concat();
        let output = lab.fpt_in(&arguments, &[("XDG_CACHE_HOME", "user-cache")]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains("doctor"), "{}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), verdicts.to_string());
}
