//! What people see: help, completions, manual pages, errors and tables.

use std::fs;

use crate::lab::{Lab, stderr, stdout, trained};

/// Columns of help where there is no terminal.
const HELP: usize = 100;

const COMMANDS: [&[&str]; 23] = [
    &["init"],
    &["train"],
    &["eval"],
    &["predict"],
    &["cost"],
    &["data", "check"],
    &["data", "generate"],
    &["config", "list"],
    &["config", "show"],
    &["config", "schema"],
    &["reproduce"],
    &["sweep"],
    &["convert"],
    &["similarity"],
    &["transfer"],
    &["report"],
    &["bench", "step"],
    &["bench", "products"],
    &["doctor"],
    &["devices"],
    &["completions"],
    &["man"],
    &[],
];

#[test]
fn help_fills_its_lines() {
    let lab = Lab::new();
    for command in COMMANDS {
        let help = stdout(&lab.fpt(&[command, &["--help"]].concat(), ""));
        let about = help.split("\nUsage: ").next().unwrap();
        let examples = about.matches("Example: ").count();
        assert!(command.is_empty() || examples > 0, "{help}");
        let lines: Vec<&str> = about.lines().collect();
        for pair in lines.windows(2) {
            let word = pair[1].split(' ').next().unwrap();
            if pair[0].is_empty() || word.is_empty() {
                continue;
            }
            let with_it = pair[0].chars().count() + 1 + word.chars().count();
            assert!(
                with_it > HELP,
                "{command:?}: `{word}` fits after: {}",
                pair[0]
            );
        }
    }
}

#[test]
fn errors_are_marked_as_clap_marks_them() {
    let lab = Lab::new();
    let ours: &[&str] = &["report", "nowhere"];
    let of_clap: &[&str] = &["report"];
    for (arguments, status) in [(ours, 1), (of_clap, 2)] {
        let said = |environment: &[(&str, &str)]| {
            let output = lab.fpt_in(arguments, environment);
            assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
            stderr(&output)
        };
        assert!(said(&[]).starts_with("error: "));
        assert!(said(&[("NO_COLOR", "1")]).starts_with("error: "));
        let coloured = said(&[("CLICOLOR_FORCE", "1")]);
        assert!(
            coloured.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "),
            "{coloured:?}"
        );
        assert_eq!(coloured.matches('\u{1b}').count(), 3, "{coloured:?}");
    }
}

#[test]
fn tables_have_lines_that_can_be_read() {
    let lab = Lab::new();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/t5-large.toml");
    let table = stdout(&lab.fpt(&["cost", "--config", config], ""));
    assert!(table.contains("| FPT-CR "), "{table}");
    for line in table.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn shells_complete_the_commands() {
    let lab = Lab::new();
    for (shell, part) in [
        ("bash", "complete -F _fpt"),
        ("zsh", "#compdef fpt"),
        ("fish", "complete -c fpt"),
    ] {
        let output = lab.fpt(&["completions", shell], "");
        assert!(output.status.success(), "{}", stderr(&output));
        let script = stdout(&output);
        for part in [part, "similarity", "checkpoint-steps"] {
            assert!(script.contains(part), "{shell}: {part}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let lab = Lab::new();
    let page = stdout(&lab.fpt(&["man"], ""));
    assert!(
        page.contains(".TH fpt 1") && page.contains("fpt\\-train(1)"),
        "{page}"
    );
    assert!(
        lab.fpt(&["man", "--out", "share/man1"], "")
            .status
            .success()
    );
    for command in COMMANDS {
        let name = [&["fpt"], command].concat().join("-");
        let page = fs::read_to_string(lab.path(&format!("share/man1/{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(command.is_empty() || page.contains("Example: "), "{page}");
    }
    assert!(!lab.path("share/man1/fpt-help.1").exists());
}

#[test]
fn what_is_told_is_less_or_more_or_logged() {
    let lab = Lab::new();
    let train = |out: &str, more: &[&str]| {
        let mut arguments = vec![
            "train", "--config", "lab.toml", "--task", "mnli", "--out", out,
        ];
        arguments.extend(more);
        let output = lab.fpt(&arguments, "");
        trained(&output);
        stderr(&output)
    };
    let usual = train("usual", &["--log-file", "told.log"]);
    assert!(usual.contains("step 2: dev accuracy"), "{usual}");
    assert!(!usual.contains("lies in"), "{usual}");
    let log = fs::read_to_string(lab.path("told.log")).unwrap();
    assert!(
        log.contains("INFO") && log.contains("step 2: dev accuracy"),
        "{log}"
    );
    assert!(log.contains("the model model lies in model"), "{log}");
    assert_eq!(train("quiet", &["-q"]), "");
    let more = train("more", &["-v", "--log-file", "told.log"]);
    assert!(more.contains("the model model lies in model"), "{more}");
    assert_eq!(more.matches("step 2: dev accuracy").count(), 1, "{more}");
    let log = fs::read_to_string(lab.path("told.log")).unwrap();
    assert_eq!(
        log.matches("step 2: dev accuracy").count(),
        2,
        "what was there stays: {log}"
    );
    // Errors are told in any case.
    let refused = lab.fpt(&["-q", "train", "--config", "none.toml", "--out", "x"], "");
    assert!(
        stderr(&refused).starts_with("error: "),
        "{}",
        stderr(&refused)
    );
    // Beside the metrics there is the same for TensorBoard.
    let board = fs::read(lab.path("usual/events.out.tfevents.fpt")).unwrap();
    assert!(board.windows(10).any(|bytes| bytes == b"train/loss"));
}

#[test]
fn editors_get_a_schema_that_the_shipped_experiments_follow() {
    let lab = Lab::new();
    let output = lab.fpt(&["config", "schema"], "");
    trained(&output);
    let schema: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    // What a key is stands beside it.
    let train = &schema["$defs"]["TrainConfig"]["properties"];
    assert!(
        train["learning_rate"]["description"]
            .as_str()
            .unwrap()
            .contains("the paper has 0.3")
    );
    assert_eq!(train["steps"]["default"], 30_000);
    // By its other name, too.
    assert!(train["recompute"].is_object());
    assert_eq!(train["checkpoint"], train["recompute"]);
    let declared = &schema["$defs"]["Declaration"]["properties"];
    assert!(
        declared["metrics"].is_object() && declared["labels"].is_object(),
        "{declared}"
    );
    // Every key of the experiments that ship is there.
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs");
    for name in [
        "mini.toml",
        "t5-large.toml",
        "t5-xl.toml",
        "flan-t5-base.toml",
    ] {
        let text = fs::read_to_string(format!("{configs}/{name}")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        for key in table.keys() {
            assert!(schema["properties"][key].is_object(), "{name}: {key}");
        }
    }
}
