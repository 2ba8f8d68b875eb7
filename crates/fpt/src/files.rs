//! Output files.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;

/// Write a file under a temporary name, then rename it: it appears whole or not at all.
pub fn write_with(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    write(temporary)
        .and_then(|()| fs::rename(temporary, path))
        .with_context(|| format!("failed to write {}", path.display()))
}
