//! What the caches of scores and of tokens share: keys of content, and files that appear whole.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TrainError;

/// Adds a text and its length, so that neighbouring texts can't be confused.
pub(crate) fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

/// Adds the content of a file.
pub(crate) fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, fs::File::open(path)?);
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            return Ok(());
        }
        hash.update(part);
        let read = part.len();
        file.consume(read);
    }
}

pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Under a temporary name of this process, then renamed: several runs may write at the same time.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&temporary, content))
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| TrainError::Output {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })
}
