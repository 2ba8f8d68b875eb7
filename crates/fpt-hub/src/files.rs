//! Which files of a repository are fetched.

use std::path::{Component, Path};

use fpt_files::WEIGHTS;

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
            FileChoice::optional("added_tokens.json"),
            FileChoice::required("weights", WEIGHTS),
        ])
    }
}

/// Whether a name stays below the directory that it is joined to.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\\')
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}
