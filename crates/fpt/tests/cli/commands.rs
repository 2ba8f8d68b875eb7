//! The commands from end to end on the shipped model.

use std::fs;

use serde_json::Value;

use crate::lab::{Lab, stderr, stdout};

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_task_trains_and_leaves_a_complete_directory() {
    for task in ["mnli", "qqp", "squad2", "record", "xsum"] {
        let lab = Lab::new();
        let output = lab.train(task, &["--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let steps = if task == "xsum" { 2 } else { 3 };

        let events = json_lines(&stdout(&output));
        let of_kind = |kind: &str| events.iter().filter(|e| e["event"] == kind).count();
        assert_eq!(of_kind("step"), steps, "{task}");
        assert_eq!(of_kind("eval"), steps.div_ceil(2), "{task}");
        assert_eq!(of_kind("finished"), 1, "{task}");

        let metrics = fs::read_to_string(lab.path("run/metrics.jsonl")).unwrap();
        assert_eq!(
            json_lines(&metrics).len(),
            1 + steps + steps.div_ceil(2),
            "{task}"
        );
        let result = fs::read_to_string(lab.path("run/result.json")).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["steps"], steps, "{task}");
        let answers = fs::read_to_string(lab.path("run/predictions.test.jsonl")).unwrap();
        assert_eq!(json_lines(&answers).len(), 12, "{task}");
        for file in [
            "config.toml",
            "adapter/adapter_config.json",
            "adapter/adapter_model.safetensors",
        ] {
            assert!(lab.path("run").join(file).is_file(), "{task}: {file}");
        }
        assert!(!lab.path("run.partial").exists());
    }
}

#[test]
fn what_is_odd_about_data_is_said_once() {
    let lab = Lab::new();
    // A row without a label, in dev, which is reported too.
    lab.edit("data/mnli/dev_matched.tsv", |text| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        let end = lines[2].rfind('\t').unwrap() + 1;
        lines[2].replace_range(end.., "-");
        lines.join("\n")
    });
    for split in ["dev", "train", "test"] {
        let report = format!("eval.report={split}");
        let output = lab.train("mnli", &["--json", "--set", &report]);
        assert!(output.status.success(), "{}", stderr(&output));
        let events = json_lines(&stdout(&output));
        let loaded = events.iter().find(|event| event["event"] == "loaded");
        let warnings = loaded.unwrap()["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{split}: {warnings:?}");
        fs::remove_dir_all(lab.path("run")).unwrap();
    }
}

#[test]
fn batches_by_tokens_change_no_answer() {
    let lab = Lab::new();
    let train = |name: &str, settings: &[&str]| {
        let output = lab.train("squad2", settings);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::rename(lab.path("run"), lab.path(name)).unwrap();
        let read = |file: &str| fs::read(lab.path(name).join(file)).unwrap();
        (
            read("predictions.test.jsonl"),
            read("adapter/adapter_model.safetensors"),
        )
    };
    let (answers, prompt) = train("plain", &[]);
    let (by_tokens, same) = train("evaluation", &["--set", "eval.batch_tokens=90"]);
    assert!(answers == by_tokens && prompt == same);
    // In training, other batches are another training, but the same one each time.
    let budget = ["--set", "train.batch_tokens=150"];
    let first = train("first", &budget);
    assert!(first.1 != prompt);
    assert!(train("second", &budget) == first);

    let output = lab.train("squad2", &["--set", "train.batch_tokens=0"]);
    assert!(!output.status.success());
    let message = stderr(&output);
    assert!(message.contains("train.batch_tokens"), "{message}");
}

/// The program starts itself anew, with the same arguments and input.
#[cfg(unix)]
#[test]
fn memory_is_kept_without_a_setting() {
    let lab = Lab::new();
    assert!(lab.train("qqp", &[]).status.success());
    let answers = |delay: Option<&str>| {
        let output = lab
            .command(&["predict", "--model", "model", "--adapter", "run/adapter"])
            .write_stdin("question1: who is Anna? question2: who is Ben?\n")
            .env_remove("MIMALLOC_PURGE_DELAY")
            .envs(delay.map(|delay| ("MIMALLOC_PURGE_DELAY", delay)))
            .env("MIMALLOC_VERBOSE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        (output.stdout.clone(), stderr(&output))
    };
    let (without, log) = answers(None);
    assert!(log.contains("'purge_delay': -1"), "{log}");
    let (with, log) = answers(Some("500"));
    assert!(!log.contains("'purge_delay': -1"), "{log}");
    assert!(!with.is_empty() && with == without);
}

#[test]
fn large_data_are_tokenized_once_for_all_runs() {
    let lab = Lab::new();
    // More text than is tokenized anew each time.
    lab.edit("data/mnli/train.tsv", |text| {
        let (header, row) = text.split_once('\n').unwrap();
        let mut cells: Vec<&str> = row.lines().next().unwrap().split('\t').collect();
        let premise = cells[8].repeat(5);
        cells[8] = &premise;
        let row = cells.join("\t") + "\n";
        format!("{header}\n{}", row.repeat(1 + (12 << 20) / row.len()))
    });
    let cached = || -> Vec<String> {
        let entries = fs::read_dir(lab.path("cache")).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let train = |name: &str| -> (Vec<Value>, String) {
        let output = lab.train("mnli", &["--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let run = lab.path(name);
        fs::rename(lab.path("run"), &run).unwrap();
        let mut events = json_lines(&stdout(&output));
        events.retain(|e| e["event"] == "tokenized");
        let adapter = fs::read(run.join("adapter/adapter_model.safetensors")).unwrap();
        (events, format!("{adapter:?}"))
    };

    let (events, first) = train("first");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["split"], &last["examples"]),
        (&"train".into(), &last["of"])
    );
    let [file] = &cached()[..] else {
        panic!("{:?}", cached());
    };
    assert!(file.starts_with("mnli-train-"), "{file}");

    let (events, second) = train("second");
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(first, second);

    // A file that is damaged is made anew; other texts have a file of their own.
    fs::write(lab.path("cache").join(file), "nonsense").unwrap();
    let (events, third) = train("third");
    assert!(!events.is_empty());
    assert_eq!(first, third);
    lab.edit("data/mnli/train.tsv", |text| text.replacen(". ", ", ", 1));
    assert!(!train("fourth").0.is_empty());
    assert_eq!(cached().len(), 2);
}

#[test]
fn the_same_run_gives_the_same_bits_and_is_not_repeated() {
    let lab = Lab::new();
    assert!(lab.train("qqp", &[]).status.success());
    fs::rename(lab.path("run"), lab.path("first")).unwrap();
    assert!(lab.train("qqp", &[]).status.success());
    for file in [
        "adapter/adapter_model.safetensors",
        "predictions.test.jsonl",
        "config.toml",
    ] {
        let read = |run: &str| fs::read(lab.path(run).join(file)).unwrap();
        assert_eq!(read("first"), read("run"), "{file}");
    }

    // Once more: found, not repeated, not touched.
    let before = fs::metadata(lab.path("run/result.json"))
        .unwrap()
        .modified()
        .unwrap();
    let again = lab.train("qqp", &[]);
    assert!(again.status.success());
    assert!(
        stderr(&again).contains("nothing to do"),
        "{}",
        stderr(&again)
    );
    let after = fs::metadata(lab.path("run/result.json"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);

    // Another seed gives another prompt; the same directory is refused.
    let other = lab.train("qqp", &["--seed", "1"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        stderr(&other).contains("another configuration"),
        "{}",
        stderr(&other)
    );
}

#[test]
fn eval_agrees_with_the_result_of_training() {
    let lab = Lab::new();
    assert!(lab.train("mnli", &[]).status.success());
    let output = lab.fpt(
        &[
            "eval",
            "--config",
            "lab.toml",
            "--task",
            "mnli",
            "--adapter",
            "run/adapter",
            "--json",
        ],
        "",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let result = fs::read_to_string(lab.path("run/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(report["scores"], result["reported"]);
    assert_eq!(report["examples"], 12);
}

#[test]
fn predict_answers_line_by_line_in_order() {
    let lab = Lab::new();
    assert!(lab.train("squad2", &[]).status.success());
    let texts = [
        "question: where does Anna live? context: Anna lives in Kiel.",
        "question: who likes soup? context: Ben is a baker. soup is what Dora loves.",
        "",
    ];
    let arguments = [
        "predict",
        "--model",
        "model",
        "--adapter",
        "run/adapter",
        "--max-new-tokens",
        "8",
    ];
    let plain = lab.fpt(&arguments, &(texts.join("\n") + "\n"));
    assert!(plain.status.success(), "{}", stderr(&plain));
    let answers: Vec<String> = stdout(&plain).lines().map(str::to_string).collect();
    assert_eq!(answers.len(), 3);

    // One at a time and as JSON: the same answers.
    let single = [&arguments[..], &["--batch-size", "1", "--json"]].concat();
    let output = lab.fpt(&single, &(texts.join("\n") + "\n"));
    let lines = json_lines(&stdout(&output));
    for ((line, text), answer) in lines.iter().zip(texts).zip(&answers) {
        assert_eq!(line["text"], text);
        assert_eq!(line["answer"], answer.as_str());
    }
}

/// What was trained with weights in bf16 answers with such weights as the run did.
#[test]
fn predict_takes_the_precision_of_the_run() {
    let lab = Lab::new();
    let output = lab.train("xsum", &["--set", "precision=\"bf16\""]);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = fs::read_to_string(lab.path("data/xsum/xsum_test.tsv")).unwrap();
    let texts: Vec<&str> = (file.lines())
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    let arguments = ["predict", "--model", "model", "--adapter", "run/adapter"];
    let more = ["--max-new-tokens", "12", "--precision", "bf16"];
    let output = lab.fpt(
        &[&arguments[..], &more].concat(),
        &(texts.join("\n") + "\n"),
    );
    let answers = stdout(&output);
    let file = fs::read_to_string(lab.path("run/predictions.test.jsonl")).unwrap();
    let run = json_lines(&file);
    assert_eq!(answers.lines().count(), run.len());
    for (answer, of_run) in answers.lines().zip(&run) {
        assert_eq!(of_run["prediction"], answer);
    }
}

/// Weights of one byte each answer what a run was trained for, but it is not trained with them.
#[test]
fn weights_in_int8_are_for_answers() {
    let lab = Lab::new();
    for more in [&[][..], &["--dry-run"]] {
        let refused = lab.train("xsum", &[&["--weights", "int8"], more].concat());
        assert_eq!(refused.status.code(), Some(1));
        let error = stderr(&refused);
        for part in [
            "`precision` is \"int8\"",
            "\"bf16\"",
            "fpt predict --weights int8",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert!(!lab.path("run").exists() && !lab.path("run.partial").exists());

    let output = lab.train("xsum", &["--weights", "bf16"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let config = fs::read_to_string(lab.path("run/config.toml")).unwrap();
    assert!(config.contains("precision = \"bf16\""), "{config}");
    let scored = |weights: &str| {
        let output = lab.fpt(&["eval", "run", "--weights", weights, "--json"], "");
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    assert_eq!(scored("int8")["examples"], scored("f32")["examples"]);
    let arguments = [
        "predict",
        "run",
        "--max-new-tokens",
        "12",
        "--weights",
        "int8",
    ];
    let output = lab.fpt(&arguments, "Ben likes fish.\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
}

#[test]
fn dry_run_shows_the_resolved_configuration() {
    let lab = Lab::new();
    let output = lab.train("xsum", &["--dry-run", "--set", "prompt.length=7", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["config"]["train"]["steps"], 2);
    assert_eq!(plan["config"]["prompt"]["length"], 7);
    assert_eq!(plan["missing"], serde_json::json!([]));
    assert_eq!(plan["stages"][0]["steps"], 2);
    assert!(!lab.path("run").exists());
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // Descriptions that are wrapped go on further to the right.
    let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands = names.filter(|name| !name.is_empty() && *name != "help");
    commands.map(String::from).collect()
}

#[test]
fn help_explains_every_command() {
    let lab = Lab::new();
    let help = |command: &[&str]| {
        let output = lab.fpt(&[command, &["--help"]].concat(), "");
        assert!(output.status.success(), "{command:?}");
        stdout(&output)
    };
    let commands = listed(&help(&[]));
    for known in ["train", "data", "report"] {
        assert!(commands.iter().any(|name| name == known), "{commands:?}");
    }
    for command in &commands {
        let text = help(&[command]);
        // An example stands with the command, or with each of its own.
        let texts = match &listed(&text)[..] {
            [] => vec![text],
            parts => parts.iter().map(|part| help(&[command, part])).collect(),
        };
        for text in texts {
            assert!(text.contains("Example: "), "{command}: {text}");
        }
    }
}
