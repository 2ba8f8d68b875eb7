//! Files that appear whole or not at all.

use std::path::Path;

use crate::WorldError;

/// Write under a temporary name, then rename.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), WorldError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(WorldError::write(path))
}
