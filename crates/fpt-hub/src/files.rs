use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path};

use serde::Deserialize;

const INDEX: &str = ".index.json";

/// One file under any of several names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChoice {
    /// What it is, for errors.
    pub what: String,
    /// The names, the most wanted first. A name that ends in `.index.json` brings the shards it lists.
    pub names: Vec<String>,
    /// Whether a repository without it is of no use.
    pub required: bool,
}

impl FileChoice {
    /// A file that must be there, under one of these names.
    pub fn required<const N: usize>(what: &str, names: [&str; N]) -> Self {
        Self {
            what: what.to_owned(),
            names: names.map(str::to_owned).to_vec(),
            required: true,
        }
    }

    /// A file that is taken when it is there.
    #[must_use]
    pub fn optional(name: &str) -> Self {
        Self {
            what: name.to_owned(),
            names: vec![name.to_owned()],
            required: false,
        }
    }
}

/// The files of a model, in the order in which they are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSet(
    /// The files.
    pub Vec<FileChoice>,
);

impl FileSet {
    /// Configuration, tokenizer and weights of a T5; the large files last.
    #[must_use]
    pub fn t5() -> Self {
        Self(vec![
            FileChoice::required("the configuration", ["config.json"]),
            FileChoice::required("a tokenizer", ["tokenizer.json", "spiece.model"]),
            FileChoice::optional("tokenizer_config.json"),
            FileChoice::optional("special_tokens_map.json"),
            FileChoice::required(
                "weights",
                [
                    "model.safetensors",
                    "model.safetensors.index.json",
                    "pytorch_model.bin",
                    "pytorch_model.bin.index.json",
                ],
            ),
        ])
    }
}

pub(crate) fn is_index(name: &str) -> bool {
    name.ends_with(INDEX)
}

/// Whether a name stays below the directory that it is joined to.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\\')
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// The shards that an index lists.
pub(crate) fn shards(index: &str) -> Result<BTreeSet<String>, String> {
    let index: Index = serde_json::from_str(index).map_err(|e| e.to_string())?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if shards.is_empty() {
        return Err("`weight_map` is empty".to_owned());
    }
    match shards.iter().find(|name| !is_plain(name)) {
        Some(name) => Err(format!("{name:?} is not the name of a shard")),
        None => Ok(shards),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lists_its_shards_once() {
        let index =
            r#"{"metadata": {}, "weight_map": {"a": "w-2.bin", "b": "w-1.bin", "c": "w-1.bin"}}"#;
        assert_eq!(
            shards(index).unwrap().into_iter().collect::<Vec<_>>(),
            ["w-1.bin", "w-2.bin"]
        );
    }

    #[test]
    fn a_bad_index_is_refused() {
        for (index, reason) in [
            ("{}", "weight_map"),
            (r#"{"weight_map": {}}"#, "is empty"),
            (
                r#"{"weight_map": {"a": "../../w"}}"#,
                "not the name of a shard",
            ),
            (
                r#"{"weight_map": {"a": "/etc/passwd"}}"#,
                "not the name of a shard",
            ),
        ] {
            let error = shards(index).unwrap_err();
            assert!(error.contains(reason), "{index}: {error}");
        }
    }
}
