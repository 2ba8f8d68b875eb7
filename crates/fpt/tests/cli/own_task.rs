//! A task of one's own, from a table to answers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::lab::{Lab, refused, stderr, stdout, trained};

/// The examples that come with the sources.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/examples");
    std::fs::read_to_string(path.join(name)).unwrap()
}

/// `fpt` with a cache of its own, into which the embedded model goes.
fn fpt(lab: &Lab, arguments: &[&str]) -> Output {
    let cache = lab.path("user-cache");
    lab.fpt_in(arguments, &[("XDG_CACHE_HOME", cache.to_str().unwrap())])
}

/// A laboratory with the example of a classification, its experiment as `fpt init` writes it.
fn messages() -> Lab {
    let lab = Lab::new();
    for name in ["messages.csv", "new.csv"] {
        std::fs::write(lab.path(name), example(name)).unwrap();
    }
    let starter = fpt(
        &lab,
        &["init", "--task", "messages", "--data", "messages.csv"],
    );
    trained(&starter);
    std::fs::write(lab.path("messages.toml"), stdout(&starter)).unwrap();
    lab
}

/// Its run, of a few steps on the full model, in `run`.
fn train(lab: &Lab) {
    let mut run = vec!["train", "--config", "messages.toml", "--out", "run"];
    run.extend(["--set", "train.steps=2", "--set", "schedule.method=pt"]);
    trained(&fpt(lab, &run));
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn four_commands_lead_from_a_table_to_answers() {
    let lab = messages();
    let check = fpt(&lab, &["data", "check", "--config", "messages.toml"]);
    trained(&check);
    let told = stdout(&check);
    for part in [
        "train: 480 examples of the file",
        "label red: 151",
        "label word red: 3 tokens",
        "source  text: ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let run = [
        "train",
        "--config",
        "messages.toml",
        "--out",
        "runs/messages",
    ];
    let output = fpt(&lab, &run);
    trained(&output);
    // Before the model is loaded: some examples, and how labels are spread.
    assert!(
        stderr(&output).contains("480 training examples: "),
        "{}",
        stderr(&output)
    );
    let eval = fpt(&lab, &["eval", "runs/messages", "--json"]);
    trained(&eval);
    let scores: Value = serde_json::from_str(&stdout(&eval)).unwrap();
    // Chance is 25; of 26 runs, which a rounding sets apart, the worst came to 71.
    assert!(
        scores["scores"]["values"]["accuracy"].as_f64().unwrap() > 60.0,
        "{scores}"
    );
    assert_eq!(scores["labels"]["by_label"].as_array().unwrap().len(), 4);
    assert_eq!(scores["labels"]["no_label"], 0.0);

    let predict = [
        "predict",
        "runs/messages",
        "--input",
        "new.csv",
        "--output",
        "answers.jsonl",
    ];
    let output = fpt(&lab, &predict);
    trained(&output);
    assert_eq!(stdout(&output), "");
    let answers = lines(&std::fs::read_to_string(lab.path("answers.jsonl")).unwrap());
    let texts = example("new.csv");
    assert_eq!(answers.len(), texts.lines().count() - 1);
    let desks = ["animals", "housing", "kitchen", "work"];
    for (answer, text) in answers.iter().zip(texts.lines().skip(1)) {
        assert_eq!(answer["source"], format!("text: {text}"));
        assert!(
            desks.contains(&answer["label"].as_str().unwrap()),
            "{answer}"
        );
    }
}

#[test]
fn an_adapter_alone_knows_what_it_is_for() {
    let lab = messages();
    train(&lab);
    let predict = |of: &[&str], input: &str| {
        let arguments = [&["predict"], of, &["--input", input]].concat();
        let output = fpt(&lab, &arguments);
        trained(&output);
        stdout(&output)
    };
    let answers = predict(&["run"], "new.csv");
    assert_eq!(answers.lines().count(), 8);
    // The table in another order of columns, and with more of them, is the same table.
    let texts = example("new.csv");
    let rows = texts
        .lines()
        .skip(1)
        .map(|text| format!("\"x\",\"{text}\"\n"));
    let table = format!("note,text\n{}", rows.collect::<String>());
    std::fs::write(lab.path("other.csv"), table).unwrap();
    let adapter = ["--adapter", "run/adapter"];
    assert_eq!(predict(&adapter, "other.csv"), answers);
    let card = std::fs::read_to_string(lab.path("run/adapter/README.md")).unwrap();
    assert!(
        card.starts_with("---\nbase_model: \"mini-world\"\nlibrary_name: peft\n"),
        "{card}"
    );
}

#[test]
fn the_example_of_generated_answers_learns_them() {
    let lab = Lab::new();
    std::fs::write(lab.path("stories.jsonl"), example("stories.jsonl")).unwrap();
    let starter = fpt(
        &lab,
        &["init", "--task", "stories", "--data", "stories.jsonl"],
    );
    trained(&starter);
    let text = stdout(&starter);
    assert!(text.contains("source = \"story: {{ story }}\""), "{text}");
    assert!(
        text.contains("target = \"{{ summary }}\"") && !text.contains("labels"),
        "{text}"
    );
    std::fs::write(lab.path("stories.toml"), text).unwrap();
    let run = [
        "train",
        "--config",
        "stories.toml",
        "--out",
        "run",
        "--json",
    ];
    let output = fpt(&lab, &run);
    trained(&output);
    let last = lines(&stdout(&output)).pop().unwrap();
    let result = &last["result"];
    let value = result["reported"]["values"]["rouge_l"].as_f64().unwrap();
    let baseline = result["baseline"]["value"].as_f64().unwrap();
    assert!(value > baseline + 10.0, "{value} and {baseline}");
}

#[test]
fn the_configuration_of_a_run_makes_it_again() {
    let lab = messages();
    train(&lab);
    // Its configuration makes the same run again.
    let again = ["train", "--config", "run/config.toml", "--out", "again"];
    trained(&fpt(&lab, &again));
    let read = |path: &str| std::fs::read_to_string(lab.path(path)).unwrap();
    for file in [
        "predictions.test.jsonl",
        "adapter/fpt.json",
        "config.toml",
        "inputs.json",
    ] {
        assert_eq!(
            read(&format!("run/{file}")),
            read(&format!("again/{file}")),
            "{file}"
        );
    }
    // And a second time it is found.
    let output = fpt(&lab, &again);
    trained(&output);
    assert!(
        stderr(&output).contains("holds this very run"),
        "{}",
        stderr(&output)
    );
    let other = [
        "train",
        "--config",
        "run/config.toml",
        "--out",
        "other",
        "--seed",
        "1",
    ];
    trained(&fpt(&lab, &other));
    assert!(read("other/config.toml").contains("seed = 1"));
}

#[test]
fn a_run_is_an_argument() {
    let lab = messages();
    train(&lab);
    let read = |path: &str| std::fs::read_to_string(lab.path(path)).unwrap();
    let eval = [
        "eval",
        "run",
        "--split",
        "dev",
        "--predictions",
        "dev.jsonl",
        "--json",
    ];
    let output = fpt(&lab, &eval);
    trained(&output);
    let scores: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let predictions = lines(&read("dev.jsonl"));
    assert_eq!(predictions.len(), 60);
    let right = predictions
        .iter()
        .filter(|line| line["right"] == true)
        .count();
    let accuracy = scores["scores"]["values"]["accuracy"].as_f64().unwrap();
    assert!((accuracy - 100.0 * right as f64 / 60.0).abs() < 1e-9);
    for line in &predictions {
        assert_eq!(line["right"], line["gold"][0] == line["answer"]);
        assert!(line["source"].as_str().unwrap().starts_with("text: "));
    }
    // The adapter of a run, in another configuration's place; a model of one's own.
    let by_adapter = [
        "eval",
        "--config",
        "messages.toml",
        "--adapter",
        "run",
        "--split",
        "dev",
        "--json",
    ];
    let output = fpt(&lab, &by_adapter);
    trained(&output);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout(&output)).unwrap(),
        scores
    );
    let output = fpt(
        &lab,
        &[
            "eval", "run", "--model", "model", "--split", "dev", "--json",
        ],
    );
    trained(&output);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout(&output)).unwrap(),
        scores
    );
}

#[test]
fn what_is_no_run_is_told() {
    let lab = messages();
    train(&lab);
    refused(
        &fpt(&lab, &["eval"]),
        &["give the directory of a run, or an experiment with --config"],
    );
    refused(
        &fpt(&lab, &["eval", "run", "--config", "messages.toml"]),
        &["not both"],
    );
    let unknown = fpt(&lab, &["eval", "run", "--method", "pt"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("--method"));
    refused(
        &fpt(&lab, &["eval", "run", "--task", "mnli"]),
        &["is of the task messages, not mnli"],
    );
    refused(
        &fpt(&lab, &["predict"]),
        &["give the directory of a run, or a model with --model"],
    );
    refused(&fpt(&lab, &["eval", "nowhere"]), &["nowhere"]);
}

#[test]
fn rows_that_training_would_refuse_are_refused() {
    let lab = messages();
    train(&lab);
    std::fs::write(lab.path("bad.csv"), "message\nhello\n").unwrap();
    refused(
        &fpt(&lab, &["predict", "run", "--input", "bad.csv"]),
        &["bad.csv:1: no column `text` in the header (message)"],
    );
    // Answers that are there are compared.
    std::fs::write(
        lab.path("right.csv"),
        "text,desk,id\nAnna likes soup.,kitchen,k\n",
    )
    .unwrap();
    let output = fpt(&lab, &["predict", "run", "--input", "right.csv", "--json"]);
    trained(&output);
    let line = &lines(&stdout(&output))[0];
    assert_eq!(
        (&line["id"], &line["gold"]),
        (&"k".into(), &serde_json::json!(["green"]))
    );
    assert_eq!(line["right"], line["answer"] == "green");
    // Texts are lines, whatever the task.
    std::fs::write(lab.path("lines.txt"), "text: Anna likes soup.\n").unwrap();
    let output = fpt(&lab, &["predict", "run", "--input", "lines.txt", "--json"]);
    trained(&output);
    assert_eq!(lines(&stdout(&output))[0]["answer"], line["answer"]);
}

#[test]
fn answers_come_as_lines_come() {
    let lab = messages();
    train(&lab);
    let mut program = Command::new(env!("CARGO_BIN_EXE_fpt"))
        .args(["predict", "run"])
        .current_dir(lab.path(""))
        .env("XDG_CACHE_HOME", lab.path("user-cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    let mut answers = BufReader::new(program.stdout.take().unwrap()).lines();
    for text in ["text: Anna likes soup.", "text: Ben lives in Kiel."] {
        writeln!(input, "{text}").unwrap();
        // Nothing more has been written: it is answered all the same.
        let answer = answers.next().unwrap().unwrap();
        assert!(
            ["red", "blue", "green", "black"].contains(&&*answer),
            "{answer}"
        );
    }
    drop(input);
    assert!(answers.next().is_none());
    assert!(program.wait().unwrap().success());
}

#[test]
fn data_that_mislead_are_named() {
    let lab = Lab::new();
    let write = |name: &str, text: &str| std::fs::write(lab.path(name), text).unwrap();
    write(
        "train.csv",
        "text,y\nAnna likes soup.,1\nBen likes rice.,0\nAnna zxcv soup.,1\n",
    );
    write(
        "dev.csv",
        "text,y\nAnna likes soup.,1\nCarl likes fish.,0\n",
    );
    let config = |labels: &str| {
        write(
            "own.toml",
            &format!(
                "model = \"model\"\n[tasks.own]\nsource = \"{{{{ text }}}}\"\ntarget = \"{{{{ y }}}}\"\n\
                 files = {{ train = \"train.csv\", dev = \"dev.csv\" }}\nlabels = {labels}\n"
            ),
        );
    };
    let check = |more: &[&str]| {
        let arguments = [&["data", "check", "--config", "own.toml"], more].concat();
        lab.fpt(&arguments, "")
    };
    config("{ 0 = \"red\", 1 = \"blue\" }");
    let output = check(&[]);
    trained(&output);
    let told = stdout(&output);
    assert!(
        told.contains("1 sources of train are in dev, too"),
        "{told}"
    );
    assert!(told.contains("reads as <unk>: zxcv (1)"), "{told}");
    assert!(
        told.contains("source  Anna likes soup.\ntarget  blue"),
        "{told}"
    );
    let output = check(&["--json"]);
    let found = lines(&stdout(&output));
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["shared"], serde_json::json!([["train", "dev", 1]]));
    assert_eq!(found[0]["shown"].as_array().unwrap().len(), 3);
    // Labels that are one to the model.
    config("{ 0 = \"housing\", 1 = \"kitchen\" }");
    refused(&check(&[]), &["train.csv, dev.csv can't be used"]);
    let told = stdout(&check(&[]));
    assert!(
        told.contains("the labels `housing` and `kitchen` have the same tokens"),
        "{told}"
    );
    assert!(
        told.contains("the label `kitchen` has something that the model does not know"),
        "{told}"
    );
    let train = ["train", "--config", "own.toml", "--out", "run"];
    refused(
        &lab.fpt(&train, ""),
        &["the labels `housing` and `kitchen` have the same tokens"],
    );
    // A file that is not there; what the declaration lacks; a name that is taken.
    config("{ 0 = \"red\", 1 = \"blue\" }");
    std::fs::remove_file(lab.path("dev.csv")).unwrap();
    refused(&check(&[]), &["cannot read dev.csv"]);
    lab.edit("own.toml", |text| text.replace("labels", "lables"));
    refused(
        &check(&[]),
        &["own.toml", "unknown key `lables`; did you mean `labels`?"],
    );
    write(
        "own.toml",
        "model = \"model\"\n[tasks.mnli]\nsource = \"x\"\n",
    );
    refused(&check(&[]), &["unknown key `source`"]);
}

#[test]
fn tasks_are_named_in_either_form() {
    let lab = Lab::new();
    let table = |text: String| {
        let list = "tasks = [\"mnli\", \"qqp\", \"squad2\", \"record\", \"xsum\"]\n";
        assert!(text.contains(list));
        format!("{}\n[tasks.mnli]\n", text.replace(list, ""))
    };
    lab.edit("lab.toml", table);
    // The only task need not be named.
    trained(&lab.fpt(&["train", "--config", "lab.toml", "--out", "run"], ""));
    refused(
        &lab.train("mnlii", &[]),
        &["unknown task `mnlii`; expected one of mnli, qqp, squad2, record, xsum"],
    );
    lab.edit("lab.toml", |text| {
        text.replace("[tasks.mnli]", "[task.mnlii]")
    });
    lab.edit("lab.toml", |text| {
        format!("tasks = [\"qqp\", \"mnli\"]\n{text}")
    });
    refused(&lab.train("mnli", &[]), &["unknown task `mnlii`"]);
    lab.edit("lab.toml", |text| text.replace("[task.mnlii]", ""));
    let unnamed = ["train", "--config", "lab.toml", "--out", "other"];
    refused(
        &lab.fpt(&unnamed, ""),
        &["which task? Give --task: qqp, mnli"],
    );
    lab.edit("lab.toml", |text| text.replace("data = \"data\"", ""));
    refused(
        &lab.train("mnli", &[]),
        &["`data` is missing: the directory in which the files of qqp lie"],
    );
}
