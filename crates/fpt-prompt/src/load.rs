//! Prompts from whatever is found at a path.

use std::path::Path;

use burn::tensor::Device;

use crate::{PromptError, SoftPrompt, load_adapter, load_npy};

/// Read a prompt for a model of width `d_model`, whatever it is: a directory is a PEFT adapter ([`load_adapter`]), a
/// `.npy` file a prompt of google-research/prompt-tuning ([`load_npy`]).
///
/// # Errors
/// [`PromptError::Unknown`] if it is neither, [`PromptError::Read`] if it is not there; else as those two.
pub fn load_prompt(
    path: impl AsRef<Path>,
    d_model: usize,
    device: &Device,
) -> Result<SoftPrompt, PromptError> {
    let path = path.as_ref();
    let kind = std::fs::metadata(path).map_err(|source| PromptError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    if kind.is_dir() {
        return load_adapter(path, d_model, device);
    }
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("npy") => load_npy(path, d_model, device),
        _ => Err(PromptError::Unknown {
            path: path.to_path_buf(),
        }),
    }
}
