//! A model and data so small that a run takes no time, and the experiment of them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Device;
use fpt_t5::{SaveOptions, T5, T5Config};
use fpt_world::{TaskOptions, write_tasks};

/// Of this model the tokenizer is taken.
const SHIPPED: &str = "datasets/mini-world/model";

const EXPERIMENT: &str = r#"
model = "model"
data = "data"
tasks = ["qqp"]

[prompt]
length = 2
init = { kind = "uniform" }

[train]
steps = 2
batch_size = 2
learning_rate = 0.01
weight_decay = 0.0
gradient_clip = 1.0

[eval]
every = 1000
batch_size = 4

[lengths]
max_source = 16
max_target = 2
pad_to = { multiple = 4 }
"#;

/// A directory with an experiment `load.toml` in it.
pub(super) struct Scene {
    place: PathBuf,
}

impl Scene {
    pub(super) fn new(place: &Path) -> anyhow::Result<Self> {
        let scene = Self {
            place: place.to_path_buf(),
        };
        let model = scene.path("model");
        std::fs::create_dir_all(&model)?;
        let config = |shipped: T5Config| T5Config {
            d_model: 8,
            d_kv: 4,
            d_ff: 8,
            num_heads: 2,
            num_layers: 1,
            num_decoder_layers: Some(1),
            ..shipped
        };
        let shipped = T5Config::from_file(Path::new(SHIPPED).join("config.json"))?;
        let random = T5::init(&config(shipped), &Device::flex());
        random.save_pretrained(&model, SaveOptions::default())?;
        let tokenizer = Path::new(SHIPPED).join("tokenizer.json");
        std::fs::copy(&tokenizer, model.join("tokenizer.json"))
            .with_context(|| format!("failed to copy {}", tokenizer.display()))?;
        let options = TaskOptions {
            seed: 1,
            train: 64,
            dev: 8,
            test: 8,
        };
        write_tasks(scene.path("data"), &options)?;
        fpt_files::write(scene.config(), EXPERIMENT)?;
        Ok(scene)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The experiment file.
    pub(super) fn config(&self) -> PathBuf {
        self.path("load.toml")
    }
}
