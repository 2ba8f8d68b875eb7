//! Files that appear whole or not at all.

use std::path::Path;

use serde::Serialize;

use crate::PretrainError;

/// Write `value` as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PretrainError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| PretrainError::Train(error.to_string()))?;
    Ok(fpt_files::write(path, text + "\n")?)
}
