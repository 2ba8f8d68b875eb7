//! PEFT prompt-tuning adapters: `adapter_config.json` and `adapter_model.safetensors`.

mod read;
mod weights;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use read::{adapter_base_model, load_adapter};
pub use write::save_adapter;

/// What describes an adapter.
const CONFIG: &str = "adapter_config.json";

/// The weights of an adapter.
const SAFETENSORS: &str = "adapter_model.safetensors";

/// The weights of an adapter that PEFT before 0.7 wrote, or a later one with `safe_serialization=False`.
const PYTORCH: &str = "adapter_model.bin";

/// The one tensor of a prompt-tuning adapter. Every version of PEFT has called it so.
const TENSOR: &str = "prompt_embeddings";

/// The file of the adapter in `directory` that holds the prompt: `adapter_model.safetensors`, or where there is none
/// `adapter_model.bin`, if that is there.
pub fn adapter_weights(directory: impl AsRef<Path>) -> PathBuf {
    let path = directory.as_ref().join(SAFETENSORS);
    let older = directory.as_ref().join(PYTORCH);
    if !path.exists() && older.exists() {
        older
    } else {
        path
    }
}

/// PEFT's names of the initialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum InitKind {
    /// Random numbers.
    Random,
    /// Rows of the embedding.
    SampleVocab,
    /// The embedding of a text.
    Text,
}

/// What an adapter tells about its model besides the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The base model, a path or a hub id.
    pub base_model: String,
    /// Attention heads of the base model.
    pub num_attention_heads: usize,
    /// Layers of the base model's encoder.
    pub num_layers: usize,
    /// How the prompt started.
    pub init: InitKind,
}
