//! Whatever is wrong with input, output or settings: one clear error, exit status 1 (2 where arguments are
//! wrong), no panic, nothing left behind.

use std::fs;

use crate::lab::{Lab, error_of, status, stderr};

/// Train MNLI in `lab`, which must fail and name all of `expected`.
fn refused(lab: &Lab, more: &[&str], expected: &[&str]) {
    let output = lab.train("mnli", more);
    let message = error_of(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(message.starts_with("error: "), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in expected {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    for leftover in ["run", "run.partial"] {
        assert!(!lab.path(leftover).exists(), "{leftover} was left behind");
    }
}

#[test]
fn missing_checkpoint() {
    let lab = Lab::new();
    fs::remove_file(lab.path("model/model.safetensors")).unwrap();
    refused(&lab, &[], &["no weights in", "model.safetensors"]);
}

#[test]
fn missing_model_directory() {
    let lab = Lab::new();
    fs::remove_dir_all(lab.path("model")).unwrap();
    refused(
        &lab,
        &[],
        &["the model model", "neither an existing directory"],
    );
}

#[test]
fn truncated_checkpoint() {
    let lab = Lab::new();
    let path = lab.path("model/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        refused(
            &lab,
            &[],
            &["model.safetensors", "not a complete file of weights"],
        );
    }
}

#[test]
fn misshapen_tensors_are_listed_together() {
    let lab = Lab::new();
    lab.edit("model/config.json", |text| {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["d_ff"] = 100.into();
        config["num_layers"] = 13.into();
        config.to_string()
    });
    refused(
        &lab,
        &[],
        &[
            "misshapen: encoder.block.0.layer.1.DenseReluDense.wi_0.weight is [112, 64], should be [100, 64]",
            "misshapen: decoder.block.11.layer.2.DenseReluDense.wo.weight is [64, 112], should be [64, 100]",
            "missing: encoder.block.12.layer.0.SelfAttention.q.weight",
        ],
    );
}

#[test]
fn surplus_tensors() {
    let lab = Lab::new();
    lab.edit("model/config.json", |text| {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["num_decoder_layers"] = 11.into();
        config.to_string()
    });
    refused(
        &lab,
        &[],
        &["surplus: decoder.block.11.layer.2.layer_norm.weight"],
    );
}

#[test]
fn unsupported_model_configuration() {
    let lab = Lab::new();
    lab.edit("model/config.json", |text| {
        text.replace("gated-gelu", "gated-silu")
    });
    refused(&lab, &[], &["model/config.json", "gated-silu"]);
}

#[test]
fn unknown_configuration_key() {
    let lab = Lab::new();
    lab.edit("lab.toml", |text| {
        text.replace("batch_size = 8", "batch_sise = 8")
    });
    refused(&lab, &[], &["lab.toml", "line 12", "batch_sise"]);
}

#[test]
fn unknown_key_for_one_task() {
    let lab = Lab::new();
    lab.edit("lab.toml", |text| text.replace("\nsteps = 2", "\nstep = 2"));
    refused(&lab, &[], &["lab.toml", "[task.xsum]", "step"]);
}

#[test]
fn values_that_make_no_sense() {
    let lab = Lab::new();
    for (assignment, key) in [
        ("train.steps=0", "train.steps"),
        ("train.learning_rate=-1.0", "train.learning_rate"),
        ("prompt.length=0", "prompt.length"),
        ("eval.every=0", "eval.every"),
        ("train.stepz=3", "stepz"),
        ("train.steps", "key=value"),
    ] {
        refused(&lab, &["--set", assignment], &[key]);
    }
}

#[test]
fn malformed_tsv_line() {
    let lab = Lab::new();
    lab.edit("data/mnli/train.tsv", |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        let bad = lines[3]
            .replace("entailment", "maybe")
            .replace("neutral", "maybe");
        let bad = bad.replace("contradiction", "maybe");
        lines[3] = &bad;
        lines.join("\n")
    });
    refused(&lab, &[], &["data/mnli/train.tsv:4", "maybe"]);
}

#[test]
fn missing_data() {
    let lab = Lab::new();
    fs::remove_file(lab.path("data/mnli/dev_matched.tsv")).unwrap();
    refused(&lab, &[], &["data/mnli/dev_matched.tsv"]);
}

#[test]
fn malformed_json_line() {
    let lab = Lab::new();
    lab.edit("data/record/val.jsonl", |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1] = "{\"passage\": ";
        lines.join("\n")
    });
    let output = lab.train("record", &[]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(message.contains("data/record/val.jsonl:2:"), "{message}");
    assert!(!lab.path("run.partial").exists());
}

#[test]
fn tokenizer_that_does_not_fit() {
    let lab = Lab::new();
    lab.edit("model/tokenizer.json", |text| {
        let mut tokenizer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let vocabulary = tokenizer["model"]["vocab"].as_array_mut().unwrap();
        vocabulary.push(serde_json::json!(["▁surplus", -1.0]));
        tokenizer.to_string()
    });
    refused(&lab, &[], &["model/tokenizer.json", "vocab_size"]);
}

#[test]
fn damaged_tokenizer() {
    let lab = Lab::new();
    lab.edit("model/tokenizer.json", |text| {
        text[..text.len() / 2].to_string()
    });
    refused(&lab, &[], &["model/tokenizer.json", "not valid JSON"]);
}

#[test]
fn output_that_cannot_be_created() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "in the way").unwrap();
    let output = lab.fpt(
        &[
            "train", "--config", "lab.toml", "--task", "mnli", "--out", "file/run",
        ],
        "",
    );
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(message.contains("file/run"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn output_that_holds_something_else() {
    let lab = Lab::new();
    fs::create_dir(lab.path("run")).unwrap();
    fs::write(lab.path("run/thesis.tex"), "precious").unwrap();
    let output = lab.train("mnli", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no finished run"),
        "{}",
        stderr(&output)
    );
    let kept = fs::read_to_string(lab.path("run/thesis.tex")).unwrap();
    assert_eq!(kept, "precious");
}

#[test]
fn adapter_of_another_width() {
    let lab = Lab::new();
    fs::create_dir(lab.path("adapter")).unwrap();
    fs::write(
        lab.path("adapter/adapter_config.json"),
        r#"{"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4, "token_dim": 1024}"#,
    )
    .unwrap();
    let output = lab.fpt(
        &["predict", "--model", "model", "--adapter", "adapter"],
        "x\n",
    );
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(
        message.contains("adapter_config.json") && message.contains("1024"),
        "{message}"
    );
}

#[test]
fn unknown_task_name() {
    let lab = Lab::new();
    let output = lab.train("mnlli", &[]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), status(&message), "{message}");
    assert!(
        message.contains("mnli, qqp, squad2, record, xsum"),
        "{message}"
    );
}
