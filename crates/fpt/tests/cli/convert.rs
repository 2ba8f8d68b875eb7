//! `fpt convert`: what goes along.

use std::fs;

use serde_json::{Value, json};

use crate::lab::{Lab, trained};

#[cfg(unix)]
#[test]
fn files_have_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;

    let lab = Lab::new();
    let mode = |path: &str| {
        let file = fs::metadata(lab.path(path)).unwrap();
        file.permissions().mode() & 0o777
    };
    let private = PermissionsExt::from_mode(0o600);
    fs::set_permissions(lab.path("model/tokenizer.json"), private).unwrap();
    trained(&lab.fpt(&["convert", "--model", "model", "--out", "other"], ""));
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        assert_eq!(mode(&format!("other/{name}")), mode("lab.toml"), "{name}");
    }
}

#[test]
fn all_that_belongs_to_a_model_goes_along_unchanged() {
    let lab = Lab::new();
    let beside = [
        ("tokenizer_config.json", json!({"legacy": false})),
        ("special_tokens_map.json", json!({"eos_token": "</s>"})),
        ("added_tokens.json", json!({"<sep>": 367})),
        ("generation_config.json", json!({"max_length": 20})),
    ];
    for (name, content) in &beside {
        fs::write(lab.path("model").join(name), content.to_string()).unwrap();
    }
    let more = json!({"dropout_rate": 0.1, "tokenizer_class": "T5Tokenizer", "task_specific_params": {"x": [1, 2.5]}});
    let source = lab.path("model/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&source).unwrap()).unwrap();
    let object = config.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    fs::write(&source, config.to_string()).unwrap();

    trained(&lab.fpt(&["convert", "--model", "model", "--out", "other"], ""));
    for name in beside
        .map(|(name, _)| name)
        .into_iter()
        .chain(["tokenizer.json"])
    {
        let read = |directory| fs::read(lab.path(directory).join(name)).unwrap();
        assert_eq!(read("other"), read("model"), "{name}");
    }
    let written: Value =
        serde_json::from_slice(&fs::read(lab.path("other/config.json")).unwrap()).unwrap();
    assert_eq!(written, config);
}
