//! Writing a prompt as an adapter.

use std::error::Error;
use std::path::Path;

use fpt_files::{create_directory, write};
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use super::{AdapterInfo, CONFIG, InitKind, SAFETENSORS, TENSOR};
use crate::{PromptError, SoftPrompt};

/// `adapter_config.json` as PEFT writes it.
#[derive(Serialize)]
struct Config<'a> {
    peft_type: &'static str,
    task_type: &'static str,
    base_model_name_or_path: &'a str,
    num_virtual_tokens: usize,
    token_dim: usize,
    num_transformer_submodules: usize,
    num_attention_heads: usize,
    num_layers: usize,
    prompt_tuning_init: InitKind,
    inference_mode: bool,
}

/// Write `prompt` as a PEFT adapter into `directory`, which is created; PEFT's
/// `PeftModel.from_pretrained` loads it. Each file appears whole or not at all.
///
/// # Errors
/// [`PromptError::Write`] if that fails, [`PromptError::NotFinite`] if the prompt has a number that is NaN or infinite:
/// then nothing is written.
pub fn save_adapter(
    prompt: &SoftPrompt,
    info: &AdapterInfo,
    directory: impl AsRef<Path>,
) -> Result<(), PromptError> {
    let directory = directory.as_ref();
    let fail = |error: Box<dyn Error + Send + Sync>| PromptError::Write {
        path: directory.to_path_buf(),
        source: std::io::Error::other(error),
    };
    let [length, d_model] = prompt.shape();
    let values = prompt.values();
    if let Some(row) = SoftPrompt::not_finite(&values, d_model) {
        return Err(PromptError::NotFinite {
            path: directory.to_path_buf(),
            what: "the prompt, which is not written,".into(),
            row,
        });
    }
    create_directory(directory)?;
    let config = Config {
        peft_type: "PROMPT_TUNING",
        task_type: "SEQ_2_SEQ_LM",
        base_model_name_or_path: &info.base_model,
        num_virtual_tokens: length,
        token_dim: d_model,
        // The paper's prompt goes before the encoder's input only; PEFT's default for T5 would be 2.
        num_transformer_submodules: 1,
        num_attention_heads: info.num_attention_heads,
        num_layers: info.num_layers,
        // Initialisations from a text need the text and its tokenizer in PEFT; the values are here anyway.
        prompt_tuning_init: match info.init {
            InitKind::Text => InitKind::Random,
            other => other,
        },
        inference_mode: true,
    };
    let mut json = serde_json::to_vec_pretty(&config).map_err(|error| fail(error.into()))?;
    json.push(b'\n');

    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let weights = TensorView::new(Dtype::F32, vec![length, d_model], &bytes)
        .and_then(|view| {
            let metadata = [("format".to_string(), "pt".to_string())].into();
            safetensors::serialize([(TENSOR, view)], Some(metadata))
        })
        .map_err(|error| fail(error.into()))?;

    for (name, content) in [(SAFETENSORS, weights), (CONFIG, json)] {
        write(directory.join(name), content)?;
    }
    Ok(())
}
