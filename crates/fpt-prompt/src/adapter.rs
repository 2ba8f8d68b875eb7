//! PEFT prompt-tuning adapters: `adapter_config.json` and `adapter_model.safetensors`.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::{PromptError, SoftPrompt};

/// The one tensor of a prompt-tuning adapter.
const TENSOR: &str = "prompt_embeddings";

/// PEFT's names of the initialisations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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

/// `adapter_config.json` as PEFT writes it. Unknown keys are ignored on reading, as newer versions add some.
#[derive(Debug, Serialize, Deserialize)]
struct AdapterConfig {
    peft_type: String,
    task_type: Option<String>,
    base_model_name_or_path: Option<String>,
    num_virtual_tokens: usize,
    token_dim: usize,
    num_transformer_submodules: Option<usize>,
    num_attention_heads: Option<usize>,
    num_layers: Option<usize>,
    #[serde(default = "random")]
    prompt_tuning_init: InitKind,
    #[serde(default)]
    inference_mode: bool,
}

fn random() -> InitKind {
    InitKind::Random
}

/// Write `prompt` as a PEFT adapter into `directory`, which is created; PEFT's
/// `PeftModel.from_pretrained` loads it. Files are written under temporary names, then renamed.
///
/// # Errors
/// [`PromptError::Write`] if that fails.
pub fn save_adapter(
    prompt: &SoftPrompt,
    info: &AdapterInfo,
    directory: impl AsRef<Path>,
) -> Result<(), PromptError> {
    let directory = directory.as_ref();
    let fail = |path: &Path, source: std::io::Error| PromptError::Write {
        path: path.to_path_buf(),
        source,
    };
    fs::create_dir_all(directory).map_err(|error| fail(directory, error))?;
    let [length, d_model] = prompt.shape();
    let config = AdapterConfig {
        peft_type: "PROMPT_TUNING".into(),
        task_type: Some("SEQ_2_SEQ_LM".into()),
        base_model_name_or_path: Some(info.base_model.clone()),
        num_virtual_tokens: length,
        token_dim: d_model,
        // The paper's prompt goes before the encoder's input only; PEFT's default for T5 would be 2.
        num_transformer_submodules: Some(1),
        num_attention_heads: Some(info.num_attention_heads),
        num_layers: Some(info.num_layers),
        // Initialisations from a text need the text and its tokenizer in PEFT; the values are here anyway.
        prompt_tuning_init: match info.init {
            InitKind::Text => InitKind::Random,
            other => other,
        },
        inference_mode: true,
    };
    let mut json = serde_json::to_vec_pretty(&config)
        .map_err(|error| fail(directory, std::io::Error::other(error)))?;
    json.push(b'\n');

    let bytes: Vec<u8> = prompt
        .values()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let weights = TensorView::new(Dtype::F32, vec![length, d_model], &bytes)
        .and_then(|view| {
            let metadata = [("format".to_string(), "pt".to_string())].into();
            safetensors::serialize([(TENSOR, view)], Some(metadata))
        })
        .map_err(|error| fail(directory, std::io::Error::other(error)))?;

    for (name, content) in [
        ("adapter_model.safetensors", weights),
        ("adapter_config.json", json),
    ] {
        let path = directory.join(name);
        let temporary = directory.join(format!("{name}.tmp"));
        fs::write(&temporary, content)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| fail(&path, error))?;
    }
    Ok(())
}

/// Read a PEFT prompt-tuning adapter for a model of width `d_model`.
///
/// Where an adapter holds a prompt for the decoder too (`num_transformer_submodules` 2, PEFT's default for
/// T5), the first `num_virtual_tokens` rows are taken, as PEFT's own forward does.
///
/// # Errors
/// [`PromptError::Read`] if a file is absent, [`PromptError::Adapter`] if it is damaged, of another kind, or
/// of another width.
pub fn load_adapter(
    directory: impl AsRef<Path>,
    d_model: usize,
    device: &Device,
) -> Result<SoftPrompt, PromptError> {
    let directory = directory.as_ref();
    let path = directory.join("adapter_config.json");
    let unusable = |path: &Path, reason: String| PromptError::Adapter {
        path: path.to_path_buf(),
        reason,
    };
    let read = |path: &Path| {
        fs::read(path).map_err(|source| PromptError::Read {
            path: path.to_path_buf(),
            source,
        })
    };
    let config: AdapterConfig = serde_json::from_slice(&read(&path)?)
        .map_err(|error| unusable(&path, error.to_string()))?;
    if config.peft_type != "PROMPT_TUNING" {
        return Err(unusable(
            &path,
            format!("`peft_type` is {}, not PROMPT_TUNING", config.peft_type),
        ));
    }
    if config.token_dim != d_model {
        return Err(unusable(
            &path,
            format!(
                "`token_dim` is {}, but the model's d_model is {d_model}",
                config.token_dim
            ),
        ));
    }
    let rows = config.num_virtual_tokens;
    let expected = rows.checked_mul(config.num_transformer_submodules.unwrap_or(1));
    if rows == 0 || expected.is_none_or(|expected| expected == 0) {
        return Err(unusable(&path, "it has no virtual tokens".into()));
    }

    let path = directory.join("adapter_model.safetensors");
    let bytes = read(&path)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| unusable(&path, format!("not a complete safetensors file: {error}")))?;
    let tensor = file
        .tensor(TENSOR)
        .map_err(|_| unusable(&path, format!("it has no tensor `{TENSOR}`")))?;
    if Some(tensor.shape()) != expected.map(|e| [e, d_model]).as_ref().map(|s| &s[..]) {
        return Err(unusable(
            &path,
            format!(
                "`{TENSOR}` is {:?}, but adapter_config.json says [{}, {d_model}]",
                tensor.shape(),
                expected.unwrap_or_default(),
            ),
        ));
    }
    if tensor.dtype() != Dtype::F32 {
        return Err(unusable(
            &path,
            format!("`{TENSOR}` is {:?}; only F32 is supported", tensor.dtype()),
        ));
    }
    let values = tensor.data()[..rows * d_model * 4]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Ok(SoftPrompt::from_values(values, [rows, d_model], device))
}
