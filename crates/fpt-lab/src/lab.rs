//! A laboratory in a temporary directory: the shipped model, a little data, and an experiment.

use std::fs;
use std::path::{Path, PathBuf};

use fpt_world::TaskOptions;
use tempfile::TempDir;

/// The experiment of a [`Lab`], `lab.toml`.
pub const EXPERIMENT: &str = r#"
model = "model"
data = "data"
tasks = ["mnli", "qqp", "squad2", "record", "xsum"]

[prompt]
length = 4
init = { kind = "uniform" }

[train]
steps = 3
batch_size = 8
learning_rate = 0.05
weight_decay = 1e-5
gradient_clip = 1.0

[eval]
every = 2
batch_size = 6

[lengths]
max_source = 100
max_target = 12
pad_to = { multiple = 4 }

[task.xsum.train]
steps = 2
"#;

/// The directory of the scale model that the repository has.
#[must_use]
pub fn shipped_model() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mini-world/model");
    path.canonicalize().unwrap()
}

/// A directory with a copy of the shipped model in `model`, 40 examples of each task's training set and 12 of its other
/// sets in `data`, and [`EXPERIMENT`] in `lab.toml`. It goes away with the value.
#[derive(Debug)]
pub struct Lab {
    directory: TempDir,
}

impl Lab {
    /// A new laboratory.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Self { directory };
        fs::create_dir(lab.path("model")).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(shipped_model().join(file), lab.path("model").join(file)).unwrap();
        }
        let options = TaskOptions {
            seed: 3,
            train: 40,
            dev: 12,
            test: 12,
        };
        fpt_world::write_tasks(lab.path("data"), &options).unwrap();
        fs::write(lab.path("lab.toml"), EXPERIMENT).unwrap();
        lab
    }

    /// The path of a name in the laboratory; that of the laboratory itself for an empty one.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Change a text file.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }
}
