//! Files that appear whole or not at all.

use std::path::Path;

use serde::Serialize;

use crate::PretrainError;

/// Write `value` as JSON under a temporary name, then rename.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PretrainError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| PretrainError::Train(error.to_string()))?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, text + "\n")
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(PretrainError::write(path))
}
