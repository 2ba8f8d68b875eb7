//! Reading an adapter as a prompt.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;

use super::{CONFIG, weights};
use crate::{PromptError, SoftPrompt};

/// What reading needs of `adapter_config.json`. The other keys change from version to version.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    num_virtual_tokens: usize,
    token_dim: Option<usize>,
    num_transformer_submodules: Option<usize>,
}

/// The model that the adapter in `directory` was trained for, as its `adapter_config.json` names it: a path or a model of
/// the hub; `None` if it names none.
///
/// # Errors
/// [`PromptError::Read`] if the file is absent, [`PromptError::Adapter`] if it is damaged.
pub fn adapter_base_model(directory: impl AsRef<Path>) -> Result<Option<String>, PromptError> {
    #[derive(Deserialize)]
    struct Named {
        base_model_name_or_path: Option<String>,
    }
    let path = directory.as_ref().join(CONFIG);
    let bytes = fpt_files::read(&path).map_err(|source| PromptError::Read {
        path: path.clone(),
        source,
    })?;
    let named: Named = serde_json::from_slice(&bytes).map_err(|error| PromptError::Adapter {
        path,
        reason: error.to_string(),
    })?;
    Ok(named
        .base_model_name_or_path
        .filter(|name| !name.is_empty()))
}

/// Read a PEFT prompt-tuning adapter for a model of width `d_model`.
///
/// The weights are `adapter_model.safetensors`, or `adapter_model.bin` (`torch.save`, which PEFT wrote before 0.7)
/// where there is no such file; f32, bf16, f16 or f64. Nothing in a `.bin` file is ever called.
///
/// Where an adapter holds a prompt for the decoder too (`num_transformer_submodules` 2, PEFT's default for
/// T5), the first `num_virtual_tokens` rows are taken, as PEFT's own forward does.
///
/// # Errors
/// [`PromptError::Read`] if a file is absent, [`PromptError::Adapter`] if it is damaged, of another kind, or
/// of another width, [`PromptError::NotFinite`] if a number is NaN or infinite.
pub fn load_adapter(
    directory: impl AsRef<Path>,
    d_model: usize,
    device: &Device,
) -> Result<SoftPrompt, PromptError> {
    let directory = directory.as_ref();
    let path = directory.join(CONFIG);
    let unusable = |reason: String| PromptError::Adapter {
        path: path.clone(),
        reason,
    };
    let bytes = fpt_files::read(&path).map_err(|source| PromptError::Read {
        path: path.clone(),
        source,
    })?;
    let config: Config =
        serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    if config.peft_type != "PROMPT_TUNING" {
        return Err(unusable(format!(
            "`peft_type` is {}, not PROMPT_TUNING",
            config.peft_type
        )));
    }
    if let Some(width) = config.token_dim
        && width != d_model
    {
        return Err(unusable(format!(
            "`token_dim` is {width}, but the model's d_model is {d_model}"
        )));
    }
    let tokens = config.num_virtual_tokens;
    if tokens == 0 || config.num_transformer_submodules == Some(0) {
        return Err(unusable("it has no virtual tokens".into()));
    }
    let layout = weights::Layout {
        tokens,
        submodules: config.num_transformer_submodules,
        d_model,
    };
    let values = weights::read(directory, &layout)?;
    Ok(SoftPrompt::from_values(values, [tokens, d_model], device))
}
