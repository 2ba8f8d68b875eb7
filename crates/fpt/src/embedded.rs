//! The scale model that the program carries, so that it has something to work with where nothing can be fetched.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context;
use fpt_files::{BUILT_IN_MODEL, Fingerprint};
use fpt_world::model::FILES;

use crate::cache;

/// The hash of all files: several parts of a run ask where the model lies.
static CONTENT: LazyLock<String> = LazyLock::new(|| {
    let mut content = Fingerprint::new();
    for (name, bytes) in FILES {
        content.text(name).bytes(bytes);
    }
    content.hex()
});

/// Whether a name means the embedded model: so is it called, and no such directory is there.
pub(crate) fn is_meant(model: &Path) -> bool {
    model == Path::new(BUILT_IN_MODEL) && !model.is_dir()
}

/// Where its files lie: in the user's cache, where they are written if they are not there.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let cache = cache::directory().context(
        "there is no directory for the model that comes with this program; set HOME or XDG_CACHE_HOME",
    )?;
    let version = &CONTENT[..12];
    let directory = cache.join(format!("{BUILT_IN_MODEL}-{version}"));
    fpt_files::create_directory(&directory)?;
    for (name, bytes) in FILES {
        let path = directory.join(name);
        // Files appear whole, and the directory is named by their content.
        let length = std::fs::metadata(&path).map(|file| file.len());
        if length.ok() != Some(bytes.len() as u64) {
            fpt_files::write(&path, bytes)?;
        }
    }
    Ok(directory)
}
