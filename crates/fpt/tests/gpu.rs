//! `fpt` on a graphics card, or on Mesa, which renders by software: what is listed, what is refused, and that training
//! there is training. Slow by software, so the shapes are tiny.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Output;

use assert_cmd::Command;
use fpt_lab::Lab;
use serde_json::Value;

fn fpt(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("fpt").unwrap();
    // What `fpt doctor` found on this machine before is not to count.
    command
        .current_dir(lab.path(""))
        .env("XDG_CACHE_HOME", lab.path("caches"))
        .args(arguments);
    command
}

/// What was printed, of a command that must succeed.
fn printed(output: Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that must be refused.
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

fn wgpu_devices(mut command: Command) -> Vec<Value> {
    let text = printed(command.output().unwrap());
    let reports: Vec<Value> = serde_json::from_str(&text).unwrap();
    let is_wgpu = |report: &Value| report["name"].as_str().unwrap().starts_with("wgpu");
    reports.into_iter().filter(is_wgpu).collect()
}

#[test]
fn a_device_is_listed_with_what_it_can() {
    let lab = Lab::new();
    let devices = wgpu_devices(fpt(&lab, &["devices", "--json"]));
    assert_eq!(devices[0]["name"], "wgpu:0");
    assert_eq!(devices[0]["usable"], true, "{}", devices[0]);
    let precisions = devices[0]["precisions"].as_array().unwrap();
    assert!(precisions.contains(&"f32".into()), "{}", devices[0]);
    assert!(!devices[0]["model"].as_str().unwrap().is_empty());
}

#[test]
fn an_index_too_large_is_told() {
    let lab = Lab::new();
    let arguments = ["predict", "--model", "model", "--device", "wgpu:77"];
    let message = refused(fpt(&lab, &arguments));
    assert!(
        message.starts_with("error: device wgpu:77: there "),
        "{message}"
    );
    assert!(message.contains("wgpu:0"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_there_is_a_way_out() {
    let nothing = [
        ("VK_DRIVER_FILES", "/nonexistent"),
        ("VK_ICD_FILENAMES", "/nonexistent"),
        ("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent"),
    ];
    let lab = Lab::new();
    let mut command = fpt(&lab, &["devices", "--json"]);
    command.envs(nothing);
    let devices = wgpu_devices(command);
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["name"], "wgpu");
    assert_eq!(devices[0]["usable"], false);
    let mut command = fpt(&lab, &["predict", "--model", "model", "--device", "wgpu"]);
    command.envs(nothing);
    let message = refused(command);
    assert!(message.contains("wgpu finds no adapter"), "{message}");
}

/// The losses of two steps on a device, and what the record calls it.
fn train(lab: &Lab, device: &str) -> (Vec<f64>, String) {
    let out = format!("run-{}", device.replace(':', "-"));
    let arguments = [
        "train", "--config", "lab.toml", "--task", "mnli", "--device", device, "--out", &out,
    ];
    let mut command = fpt(lab, &arguments);
    for setting in [
        "train.steps=2",
        "train.batch_size=2",
        "eval.every=2",
        "eval.reference=false",
        "lengths.max_source=16",
        "lengths.max_target=2",
    ] {
        command.args(["--set", setting]);
    }
    printed(command.output().unwrap());
    let metrics = fs::read_to_string(lab.path(&out).join("metrics.jsonl")).unwrap();
    let records = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let losses = records
        .filter_map(|record| record["loss"].as_f64())
        .collect();
    let result = fs::read_to_string(lab.path(&out).join("result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    (losses, result["device"].as_str().unwrap().to_string())
}

#[test]
fn two_training_steps_are_those_of_the_processor() {
    let lab = Lab::new();
    let (expected, device) = train(&lab, "cpu");
    assert_eq!(device, "cpu");
    let (losses, device) = train(&lab, "wgpu");
    assert_eq!(device, "wgpu:0");
    assert_eq!(losses.len(), 2);
    for (ours, theirs) in losses.iter().zip(&expected) {
        let error = (ours - theirs).abs() / theirs.abs();
        assert!(error < 1e-3, "{losses:?} and {expected:?}");
    }
}
