//! Text of files and names that would command a terminal, and tokens that would go in the open.

use std::fs;

use crate::lab::{Lab, error_of, status, stderr, stdout};

/// Has no character that a terminal obeys or reorders text for, but lines.
fn is_harmless(text: &str) -> bool {
    let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    !text.chars().any(obeyed)
}

#[test]
fn messages_do_not_command_the_terminal() {
    let lab = Lab::new();
    fs::write(
        lab.path("toml.toml"),
        "model = 1\n\u{1b}[31m\u{202e}bad = 2\n",
    )
    .unwrap();
    lab.edit("lab.toml", |text| {
        text.replace("\"model\"", "\"mo\\u001b[2Jdel\"")
    });
    let train = ["--task", "mnli", "--out", "run"];
    for arguments in [
        &["report", "no\u{1b}]0;title\u{7}where\r"][..],
        &[&["train", "--config", "toml.toml"], &train[..]].concat(),
        &[&["train", "--config", "lab.toml"], &train[..]].concat(),
        &["train", "--out", "run", "--task", "mn\u{202e}\r\u{9b}li"],
        &["no\u{202e}\rcommand"],
    ] {
        let output = lab.fpt(arguments, "");
        assert!(is_harmless(&stderr(&output)), "{output:?}");
        let message = error_of(&output);
        assert_eq!(output.status.code(), status(&message), "{message:?}");
        assert!(message.starts_with("error: "), "{message:?}");
    }
    // What was escaped can be read, and lines stay lines.
    let message = stderr(&lab.fpt(&["report", "no\u{1b}where"], ""));
    assert!(message.contains(r"no\u{1b}where"), "{message}");
    let message = stderr(&lab.fpt(
        &[&["train", "--config", "toml.toml"], &train[..]].concat(),
        "",
    ));
    assert!(
        message.contains("\n2 | \\u{1b}[31m\\u{202e}bad"),
        "{message}"
    );
}

#[test]
fn names_of_runs_do_not_add_columns() {
    let lab = Lab::new();
    let names = ["a|b", "c`|`d"];
    for name in names {
        let output = lab.train("mnli", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::rename(lab.path("run"), lab.path(name)).unwrap();
    }
    for command in ["similarity", "transfer"] {
        let output = lab.fpt(&[command, names[0], names[1]], "");
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output).replace(r"\|", "");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let columns = rows[0].matches('|').count();
        assert!(rows.len() > 2 && columns <= 4, "{text}");
        assert!(
            rows.iter().all(|row| row.matches('|').count() == columns),
            "{text}"
        );
        assert!(!text.replace(r"\`", "").contains('`'), "{text}");
    }
}

#[test]
fn answers_in_a_pipe_are_as_they_are() {
    let lab = Lab::new();
    let text = "hypothesis: \u{202e}a\u{9b}. premise: b.";
    let arguments = ["predict", "--model", "model", "--json"];
    let output = lab.fpt(&arguments, &format!("{text}\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(text), "{}", stdout(&output));
}

#[test]
fn a_token_does_not_go_in_the_open() {
    let lab = Lab::new();
    let arguments = ["predict", "--model", "owner/name"];
    let output = lab.fpt_in(
        &arguments,
        &[
            ("HF_HOME", "hub"),
            ("HF_TOKEN", "hf_secret"),
            // Nobody is there, and nobody is asked.
            ("HF_ENDPOINT", "http://hub.invalid"),
        ],
    );
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    for part in [
        "unencrypted",
        "http://hub.invalid",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN=1",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("secret"), "{message}");
}
