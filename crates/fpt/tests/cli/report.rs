//! `fpt report`: what runs come to, and which program made them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, stderr, stdout};

/// Train two tasks into `runs/`.
fn two_runs(lab: &Lab) {
    for task in ["mnli", "squad2"] {
        let out = format!("runs/{task}-pt-s0");
        let arguments = ["train", "--config", "lab.toml", "--task", task, "--out"];
        let output = lab.fpt(&[&arguments[..], &[&out]].concat(), "");
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn the_page_is_made_of_the_runs() {
    let lab = Lab::new();
    two_runs(&lab);
    let output = lab.fpt(&["report", "runs"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let tables = stdout(&output);
    assert!(
        tables.contains("| mnli ") && tables.contains("| squad2 "),
        "{tables}"
    );
    assert!(stderr(&output).contains("runs/index.html"));

    let read = |name: &str| fs::read_to_string(lab.path("runs").join(name)).unwrap();
    let page = read("index.html");
    for part in [
        "Summary",
        "Prompt tuning",
        "Learning curves",
        "pages/mnli-pt-s0.html",
        "<svg",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The data are where the runs read them. Tasks of labels have a confusion matrix.
    let of_run = ["mnli", "squad2"].map(|task| read(&format!("pages/{task}-pt-s0.html")));
    for (html, has_labels) in of_run.iter().zip([true, false]) {
        assert_eq!(html.contains("Confusion matrix"), has_labels);
        for part in ["answers.", "source", "[train]"] {
            assert!(html.contains(part), "{part}");
        }
        // What only the system knows.
        if cfg!(target_os = "linux") {
            assert!(!html.contains("not recorded"), "{html}");
        }
    }
    assert!(read("report.md").starts_with("# Results"));
    assert_eq!(read("results.csv").lines().count(), 1 + 2);

    // As JSON, and the same files again.
    let output = lab.fpt(&["report", "runs", "--json"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), read("results.json"));
    let results: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(results["tasks"], serde_json::json!(["mnli", "squad2"]));
    assert_eq!(results["rows"][0]["label"], "PT");
    assert_eq!(page, read("index.html"));
}

#[test]
fn a_directory_without_runs_is_refused_with_a_way_out() {
    let lab = Lab::new();
    two_runs(&lab);
    for (directory, expected) in [
        (
            "model",
            ["model holds no finished run", "fpt train --config"],
        ),
        (
            "runs/mnli-pt-s0",
            ["is a run itself", "name the directory that holds it"],
        ),
        ("nowhere", ["failed to read nowhere", "o such file"]),
    ] {
        let output = lab.fpt(&["report", directory], "");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.starts_with("error: "), "{message}");
        for part in expected {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert!(!lab.path(directory).join("index.html").exists());
    }
}

/// Make a repository with a commit of `file`, and return what git calls its revision; nothing where there is no git.
fn repository(directory: &Path, file: &str) -> Option<String> {
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let output = Command::new("git")
            .args(identity)
            .args(arguments)
            .current_dir(directory)
            .output()
            .ok()?;
        assert!(output.status.success(), "{}", stderr(&output));
        Some(stdout(&output).trim().to_string())
    };
    git(&["init", "--quiet"])?;
    git(&["add", file])?;
    git(&["commit", "--quiet", "--no-gpg-sign", "--message", "theirs"])?;
    git(&["describe", "--always", "--dirty", "--abbrev=12"])
}

/// A `PATH` whose `git` leaves a file `asked` in the laboratory: that of a stranger's repository may start programs.
fn path_of_a_git_that_tells(lab: &Lab) -> String {
    let programs = lab.path("programs");
    fs::create_dir(&programs).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let script = format!("#!/bin/sh\ntouch '{}'\n", lab.path("asked").display());
        fs::write(programs.join("git"), script).unwrap();
        fs::set_permissions(programs.join("git"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    programs.display().to_string()
}

#[test]
fn a_run_records_the_programs_revision_wherever_the_user_stands() {
    let lab = Lab::new();
    let theirs = repository(&lab.path(""), "lab.toml");
    let output = lab.fpt_in(
        &[
            "train", "--config", "lab.toml", "--task", "qqp", "--out", "run",
        ],
        &[("PATH", &path_of_a_git_that_tells(&lab))],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!lab.path("asked").exists(), "git was started");
    let result = fs::read_to_string(lab.path("run/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["revision"], fpt::revision());
    assert_ne!(result["revision"].as_str().map(String::from), theirs);
}
