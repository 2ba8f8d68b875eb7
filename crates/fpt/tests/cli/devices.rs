//! Devices by name: what is listed, what is refused, and what a record says.

use serde_json::Value;

use crate::lab::{Lab, status, stderr, stdout};

/// What `fpt devices --json` says of the device or way to compute of this name.
fn report<'a>(reports: &'a Value, name: &str) -> Option<&'a Value> {
    let mut reports = reports.as_array().unwrap().iter();
    reports.find(|report| report["name"] == name)
}

#[test]
fn the_processor_is_listed() {
    let output = Lab::new().fpt(&["devices", "--json"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let reports: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let cpu = report(&reports, "cpu").unwrap();
    assert_eq!(cpu["usable"], true);
    assert_eq!(
        cpu["precisions"],
        serde_json::json!(["f32", "bf16", "int8"])
    );
    assert!(cpu["model"].as_str().unwrap().contains("core"), "{cpu}");
    assert!(cpu["reason"].is_null(), "{cpu}");
    #[cfg(target_os = "linux")]
    assert!(cpu["memory"].as_u64().unwrap() > 1 << 28, "{cpu}");
}

#[test]
fn the_list_is_a_table_for_people() {
    let output = Lab::new().fpt(&["devices"], "");
    let text = stdout(&output);
    assert!(text.contains("| device |"), "{text}");
    let cpu = text.lines().find(|line| line.starts_with("| cpu")).unwrap();
    assert!(cpu.contains("f32, bf16"), "{cpu}");
}

/// A program without a backend says how to get one, in the list and wherever the device is asked for.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
#[test]
fn what_was_not_built_in_is_told() {
    let lab = Lab::new();
    let reports: Value =
        serde_json::from_str(&stdout(&lab.fpt(&["devices", "--json"], ""))).unwrap();
    for (name, indexed, reason) in [
        (
            "cuda",
            "cuda:3",
            "this fpt was built without CUDA: cargo install fpt --features cuda",
        ),
        (
            "wgpu",
            "wgpu:0",
            "this fpt was built without wgpu: cargo install fpt --features wgpu",
        ),
    ] {
        let listed = report(&reports, name).unwrap();
        assert_eq!(listed["usable"], false);
        assert!(listed["reason"].as_str().unwrap().starts_with(reason));
        for device in [name, indexed] {
            let output = lab.train("mnli", &["--device", device]);
            let message = crate::lab::error_of(&output);
            assert_eq!(output.status.code(), status(&message), "{message}");
            assert!(
                message.starts_with(&format!("error: {reason}")),
                "{message}"
            );
            assert!(!lab.path("run.partial").exists());
        }
        let output = lab.fpt(&["predict", "--model", "model", "--device", name], "x\n");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

#[test]
fn what_names_no_device_is_refused() {
    let lab = Lab::new();
    for (device, part) in [
        ("gpu", "a device is auto, cpu, cuda, wgpu"),
        ("cuda:a", "`a` is no index of a device"),
        ("cuda:1,1", "cuda:1 is named twice"),
        ("cpu:0", "`cpu` takes no index"),
    ] {
        let output = lab.train("mnli", &["--device", device]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), status(&message), "{message}");
        assert!(message.contains(part), "{message}");
        assert!(message.contains("--device"), "{message}");
    }
}

#[test]
fn several_devices_are_for_training() {
    let arguments = ["predict", "--model", "model", "--device", "cuda:0,1"];
    let output = Lab::new().fpt(&arguments, "x\n");
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(message.contains("cuda:0,1 names 2 devices"), "{message}");
}

/// Where nothing but the processor was built in, `auto` is the processor, and the record says so.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
#[test]
fn a_record_names_the_device_that_was_used() {
    let lab = Lab::new();
    let output = lab.train("mnli", &["--device", "auto"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = std::fs::read_to_string(lab.path("run/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["device"], "cpu");
}

/// A dry run may be of another machine.
#[cfg(not(feature = "cuda"))]
#[test]
fn a_dry_run_tells_of_a_missing_device_and_goes_on() {
    let output = Lab::new().train("mnli", &["--dry-run", "--device", "cuda"]);
    let message = stderr(&output);
    assert!(output.status.success(), "{message}");
    assert!(
        message.contains("--device cuda: this fpt was built without CUDA"),
        "{message}"
    );
    assert!(stdout(&output).contains("memory"), "{}", stdout(&output));
}
