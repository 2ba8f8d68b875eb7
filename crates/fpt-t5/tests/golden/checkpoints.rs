//! The files that weights come in; `make_checkpoints.py` writes them with PyTorch and transformers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType};
use fpt_t5::{SaveOptions, T5, T5Config, T5Error};
use safetensors::SafeTensors;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A directory with the configuration of `gated_tied` and the files of a folder of checkpoints.
fn with_config(folder: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(
        golden("gated_tied/config.json"),
        directory.path().join("config.json"),
    )
    .unwrap();
    for entry in fs::read_dir(golden("checkpoints").join(folder)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    directory
}

/// A tensor of few numbers.
const NORM: &str = "encoder.final_layer_norm.weight";

/// All weights of a model, as it writes them.
fn weights(model: &T5) -> BTreeMap<String, Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    model
        .save_pretrained(directory.path(), SaveOptions::default())
        .unwrap();
    read(&directory.path().join("model.safetensors"))
}

fn read(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, view.data().to_vec()))
        .collect()
}

fn load(directory: &Path) -> Result<T5, T5Error> {
    T5::from_pretrained(directory, &Device::flex())
}

#[test]
fn every_kind_of_file_holds_the_same_model() {
    let expected = weights(&load(&golden("gated_tied")).unwrap());
    for folder in ["bin", "bin_legacy", "bin_sharded", "sharded"] {
        let directory = with_config(folder);
        assert_eq!(
            weights(&load(directory.path()).unwrap()),
            expected,
            "{folder}"
        );
    }
}

#[test]
fn numbers_that_are_not_finite_are_named_with_file_and_tensor() {
    // The other files of PyTorch are archives, whose checksums tell.
    for folder in ["bin_legacy", "sharded"] {
        let model = load(&golden("gated_tied")).unwrap();
        let values = model.encoder.final_norm.weight.val().into_data();
        let number = values.iter::<f32>().next().unwrap();
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let directory = with_config(folder);
            let mut path = directory.path().join("pytorch_model.bin");
            if folder == "sharded" {
                // Whichever holds it.
                let shards = fs::read_dir(directory.path()).unwrap();
                path = shards
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
                    .find(|path| read(path).contains_key(NORM))
                    .unwrap();
            }
            let mut bytes = fs::read(&path).unwrap();
            let places = bytes.windows(4);
            let places: Vec<usize> = places
                .enumerate()
                .filter(|(_, place)| *place == number.to_le_bytes())
                .map(|(at, _)| at)
                .collect();
            assert_eq!(places.len(), 1, "{folder}");
            bytes[places[0]..][..4].copy_from_slice(&wrong.to_le_bytes());
            fs::write(&path, bytes).unwrap();
            let error = load(directory.path()).unwrap_err();
            assert!(
                matches!(&error, T5Error::NotFinite { path: at, tensor } if *at == path && tensor == NORM),
                "{error:?}"
            );
        }
    }
}

#[test]
fn half_precision_becomes_f32() {
    for (folder, repeated) in [("bin_bf16", "bf16"), ("f16", "f32")] {
        let directory = with_config(folder);
        let ours = weights(&load(directory.path()).unwrap());
        let theirs = read(
            &golden("checkpoints")
                .join(folder)
                .join(repeated)
                .with_extension("safetensors"),
        );
        for (name, bytes) in &ours {
            // The head is tied; PyTorch's file has it twice.
            assert_eq!(Some(bytes), theirs.get(name), "{folder}: {name}");
        }
    }
}

#[test]
fn computing_in_f16_is_refused() {
    // Precision is a property of the process's device, so it's set in a process of its own.
    const CHILD: &str = "FPT_T5_TEST_F16";
    if std::env::var_os(CHILD).is_some() {
        let mut device = Device::flex();
        device.configure(FloatDType::F16).unwrap();
        let error = T5::from_pretrained(golden("gated_tied"), &device).unwrap_err();
        writeln!(std::io::stdout(), "refused: {error}").unwrap();
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["computing_in_f16_is_refused", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && text.contains("refused: ") && text.contains("computes in f16"),
        "{text}"
    );
}

#[test]
fn relatives_of_t5_are_refused() {
    let directory = with_config("f16");
    let path = directory.path().join("config.json");
    let config = fs::read_to_string(&path)
        .unwrap()
        .replace("\"t5\"", "\"umt5\"");
    fs::write(&path, config).unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("config.json") && text.contains("\"umt5\""),
        "{text}"
    );
}

#[test]
fn a_model_in_shards_reads_back() {
    let model = load(&golden("gated_tied")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = SaveOptions {
        max_shard_bytes: 20_000,
        bf16: false,
    };
    model.save_pretrained(directory.path(), options).unwrap();
    assert!(!directory.path().join("model.safetensors").exists());
    let shards = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".safetensors")
    });
    assert!(shards.count() > 1);
    assert_eq!(weights(&load(directory.path()).unwrap()), weights(&model));

    let rounded = tempfile::tempdir().unwrap();
    let options = SaveOptions {
        bf16: true,
        ..options
    };
    model.save_pretrained(rounded.path(), options).unwrap();
    let once = weights(&load(rounded.path()).unwrap());
    assert_ne!(once, weights(&model));
    load(rounded.path())
        .unwrap()
        .save_pretrained(rounded.path(), options)
        .unwrap();
    assert_eq!(
        weights(&load(rounded.path()).unwrap()),
        once,
        "rounding twice changes nothing"
    );
}

fn refusal(directory: &Path) -> String {
    load(directory).unwrap_err().to_string()
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let directory = with_config("sharded");
    let shard = directory.path().join("model-00002-of-00003.safetensors");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() - 4]).unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("model-00002-of-00003.safetensors") && text.contains("bytes"),
        "{text}"
    );
    fs::remove_file(&shard).unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("cannot read") && text.contains("model-00002-of-00003"),
        "{text}"
    );

    let index = directory.path().join("model.safetensors.index.json");
    let outside = fs::read_to_string(&index)
        .unwrap()
        .replace("model-00002", "../model-00002");
    fs::write(&index, outside).unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("../model-00002") && text.contains("no file beside it"),
        "{text}"
    );
    fs::write(&index, "{").unwrap();
    assert!(refusal(directory.path()).contains("index.json"));
    fs::remove_file(&index).unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("no weights in") && text.contains("pytorch_model.bin"),
        "{text}"
    );
}

#[test]
fn a_tensor_that_the_index_promises_but_no_file_has_is_missing() {
    let directory = with_config("sharded");
    let index = directory.path().join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    let moved = text.replacen("model-00003-of-00003", "model-00001-of-00003", 1);
    assert_ne!(moved, text);
    fs::write(&index, moved).unwrap();
    let text = refusal(directory.path());
    assert!(text.contains("missing: "), "{text}");
}

#[test]
fn a_pickle_is_data() {
    let directory = with_config("bin");
    let path = directory.path().join("pytorch_model.bin");
    fs::copy(golden("checkpoints/executes.bin"), &path).unwrap();
    let text = refusal(directory.path());
    assert!(text.contains("pytorch_model.bin"), "{text}");
    assert!(!Path::new("executed").exists() && !directory.path().join("executed").exists());
    fs::write(&path, b"no pickle at all").unwrap();
    let text = refusal(directory.path());
    assert!(
        text.contains("pytorch_model.bin") && text.contains("not a PyTorch"),
        "{text}"
    );
}

/// What a conversion does not change stays as it was: dropout for a later training, the family, the tokenizer's class.
#[test]
fn a_configuration_is_written_with_all_that_it_had() {
    let source = golden("mt5");
    let model = load(&source).unwrap();
    let json = |path: &Path| -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_slice(&fs::read(path.join("config.json")).unwrap()).unwrap()
    };
    for (bf16, dtype) in [(false, "float32"), (true, "bfloat16")] {
        let out = tempfile::tempdir().unwrap();
        let options = SaveOptions {
            bf16,
            ..SaveOptions::default()
        };
        model.save_pretrained(out.path(), options).unwrap();
        let (mut before, mut after) = (json(&source), json(out.path()));
        before.insert("dtype".into(), dtype.into());
        // What MT5Config has by default is written out.
        assert_eq!(after.remove("feed_forward_proj").unwrap(), "gated-gelu");
        assert_eq!(after.remove("tie_word_embeddings").unwrap(), false);
        assert_eq!(after, before);
    }
}

#[test]
fn token_ids_in_a_configuration_may_be_lists_or_null() {
    let config = |key: &str, value: serde_json::Value| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let text = fs::read_to_string(golden("gated_tied/config.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json[key] = value;
        fs::write(&path, json.to_string()).unwrap();
        T5Config::from_file(&path)
    };
    let of = |key: &str, value: serde_json::Value| config(key, value).unwrap();
    assert_eq!(of("eos_token_id", 3.into()).eos_token_id.ids(), [3]);
    assert_eq!(of("eos_token_id", vec![1].into()).eos_token_id.ids(), [1]);
    let several = of("eos_token_id", vec![1, 5].into());
    assert!(several.eos_token_id.contains(5) && !several.eos_token_id.contains(2));
    assert!(several.to_json().contains("\"eos_token_id\": [\n"));
    assert_eq!(of("pad_token_id", serde_json::Value::Null).pad_id(), 1);
    let start = of("decoder_start_token_id", serde_json::Value::Null);
    assert_eq!(start.decoder_start_token_id, 0);
    for nothing in [serde_json::Value::Null, serde_json::json!([]), "1".into()] {
        let error = config("eos_token_id", nothing).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
        assert!(error.contains("eos_token_id"), "{error}");
    }
    let outside = config("eos_token_id", vec![1, 1 << 20].into()).unwrap_err();
    assert!(outside.to_string().contains("outside the vocabulary"));
}

/// The weights of `source` under other names, in one file or in two shards.
fn renamed(
    source: &str,
    sharded: bool,
    rename: impl Fn(&str) -> Option<String>,
) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    fs::copy(golden(source).join("config.json"), config).unwrap();
    let bytes = fs::read(golden(source).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.ends_with("embed_tokens.weight"))
        .filter_map(|(name, view)| Some((rename(&name)?, view)))
        .collect();
    let write = |name: &str, part: &[(String, safetensors::tensor::TensorView<'_>)]| {
        let path = directory.path().join(name);
        safetensors::serialize_to_file(part.to_vec(), None, &path).unwrap();
    };
    if !sharded {
        write("model.safetensors", &tensors);
        return directory;
    }
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let mut map = serde_json::Map::new();
    for (name, part) in [("a.safetensors", first), ("b.safetensors", second)] {
        write(name, part);
        map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.into())));
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    let path = directory.path().join("model.safetensors.index.json");
    fs::write(path, index.to_string()).unwrap();
    directory
}

/// As transformers 4.57.1 loads them.
#[test]
fn names_that_files_really_have_are_those_of_transformers() {
    const UNUSED: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    for source in ["gated_tied", "gated_untied", "relu_tied"] {
        let expected = weights(&load(&golden(source)).unwrap());
        let tied = source.ends_with("_tied") && !source.ends_with("untied");
        for sharded in [false, true] {
            let same = |what: &str, rename: &dyn Fn(&str) -> Option<String>| {
                let directory = renamed(source, sharded, rename);
                let model = load(directory.path());
                let found = weights(&model.unwrap_or_else(|error| panic!("{what}: {error}")));
                assert_eq!(found, expected, "{source}, {what}, {sharded}");
            };
            // safetensors' `save_model` writes a tensor that is there under several names once.
            for other in ["decoder.embed_tokens.weight", "encoder.embed_tokens.weight"] {
                same(other, &|name| match name {
                    "shared.weight" => Some(other.into()),
                    "lm_head.weight" if tied => None,
                    name => Some(name.into()),
                });
            }
            if tied {
                same("the head", &|name| match name {
                    "shared.weight" => Some("lm_head.weight".into()),
                    "lm_head.weight" => None,
                    name => Some(name.into()),
                });
            }
            same("the base's prefix", &|name| {
                Some(format!("transformer.{name}"))
            });
        }
    }
    // A tensor more.
    let source = golden("gated_tied");
    let bytes = fs::read(source.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    let (_, bias) = tensors
        .iter()
        .find(|(name, _)| name.ends_with("relative_attention_bias.weight"))
        .unwrap();
    tensors.push((UNUSED.into(), bias.clone()));
    let directory = with_config("sharded");
    let path = directory.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    assert_eq!(
        weights(&load(directory.path()).unwrap()),
        weights(&load(&source).unwrap())
    );
}

#[test]
fn a_prefix_that_all_names_have_is_one_line() {
    for (prefix, way_out) in [
        ("_orig_mod.", "torch.compile"),
        ("module.", "DataParallel"),
        ("model.", "save the model inside"),
        ("a.b.", "rename them"),
    ] {
        for sharded in [false, true] {
            let directory = renamed("gated_untied", sharded, |name| {
                Some(format!("{prefix}{name}"))
            });
            let error = load(directory.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{prefix}`")), "{error}");
            assert!(error.contains(way_out), "{error}");
            assert!(error.contains(".safetensors"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
