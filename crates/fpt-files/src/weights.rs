//! Which files hold the weights of a model: their names, and the index of weights in several files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::FileError;

/// What Hugging Face calls the weights of a model, in the order in which they are looked for.
pub const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The file of a directory that says where its weights are: the weights themselves, or an index of them.
#[must_use]
pub fn find_weights(directory: impl AsRef<Path>) -> Option<PathBuf> {
    let paths = WEIGHTS.map(|name| directory.as_ref().join(name));
    paths.into_iter().find(|path| path.exists())
}

/// The files that weights consist of: `path`, and where that is an index the shards that it names.
///
/// # Errors
/// [`FileError::Read`] or [`FileError::Damaged`] if an index can't be used.
pub fn weight_files(path: impl AsRef<Path>) -> Result<Vec<PathBuf>, FileError> {
    let path = path.as_ref();
    let mut files = vec![path.to_path_buf()];
    if is_index(path) {
        let index = WeightIndex::read(path)?;
        files.extend(
            index
                .shards()
                .into_iter()
                .map(|name| path.with_file_name(name)),
        );
    }
    Ok(files)
}

/// Whether a file is an index of weights in several files, by its name.
#[must_use]
pub fn is_index(path: impl AsRef<Path>) -> bool {
    path.as_ref().to_string_lossy().ends_with(".index.json")
}

/// An index of weights in several files, `*.index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WeightIndex {
    weight_map: BTreeMap<String, String>,
}

impl WeightIndex {
    /// Read an index. Each shard that it names is a file beside it, and no index.
    ///
    /// # Errors
    /// [`FileError::Read`], or [`FileError::Damaged`] if it is another file, or names no shards, or others.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(FileError::read(path))?;
        Self::parse(&text).map_err(|reason| FileError::damaged(path, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let index: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if index.weight_map.is_empty() {
            return Err("`weight_map` is empty".into());
        }
        // An index is data from elsewhere: it may name files beside it, and no others.
        match index.weight_map.values().find(|name| !is_shard(name)) {
            Some(name) => Err(format!("it names `{name}`, which is no file beside it")),
            None => Ok(index),
        }
    }

    /// The names of the files, each once.
    #[must_use]
    pub fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// The name of the file that has a tensor, if the index knows it.
    #[must_use]
    pub fn shard_of(&self, tensor: &str) -> Option<&str> {
        self.weight_map.get(tensor).map(String::as_str)
    }
}

/// Whether this is the plain name of a file, on any system.
fn is_shard(name: &str) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(name)) && !name.contains('\\') && !is_index(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lists_its_shards_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(WEIGHTS[3]);
        let text =
            r#"{"metadata": {}, "weight_map": {"a": "w-2.bin", "b": "w-1.bin", "c": "w-1.bin"}}"#;
        crate::write(&path, text).unwrap();
        assert_eq!(find_weights(directory.path()), Some(path.clone()));
        let files = weight_files(&path).unwrap();
        let expected = [WEIGHTS[3], "w-1.bin", "w-2.bin"];
        assert_eq!(files, expected.map(|name| directory.path().join(name)));
        let index = WeightIndex::read(&path).unwrap();
        assert_eq!(index.shard_of("a"), Some("w-2.bin"));
        assert_eq!(index.shard_of("d"), None);

        // The weights themselves go before an index of others.
        let whole = directory.path().join(WEIGHTS[0]);
        crate::write(&whole, "").unwrap();
        assert_eq!(find_weights(directory.path()), Some(whole.clone()));
        assert_eq!(weight_files(&whole).unwrap(), [whole]);
        assert_eq!(find_weights(directory.path().join("absent")), None);
    }

    #[test]
    fn a_bad_index_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(WEIGHTS[1]);
        let beside = "which is no file beside it";
        for (text, reason) in [
            ("{", "EOF"),
            ("{}", "weight_map"),
            (r#"{"weight_map": {}}"#, "is empty"),
            (r#"{"weight_map": {"a": ""}}"#, beside),
            (r#"{"weight_map": {"a": ".."}}"#, beside),
            (r#"{"weight_map": {"a": "../../w"}}"#, beside),
            (r#"{"weight_map": {"a": "/etc/passwd"}}"#, beside),
            (r#"{"weight_map": {"a": "below/w.bin"}}"#, beside),
            (r#"{"weight_map": {"a": "w.bin/"}}"#, beside),
            (r#"{"weight_map": {"a": "..\\w.bin"}}"#, beside),
            (
                r#"{"weight_map": {"a": "model.safetensors.index.json"}}"#,
                beside,
            ),
        ] {
            crate::write(&path, text).unwrap();
            let error = weight_files(&path).unwrap_err().to_string();
            let named = error.contains(&path.display().to_string());
            assert!(named && error.contains(reason), "{text}: {error}");
        }
    }
}
