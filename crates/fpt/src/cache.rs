//! Where the program keeps what it can do without.

use std::path::PathBuf;

/// `fpt` in the user's cache directory, if the environment tells of one.
pub(crate) fn directory() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name)?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    };
    let cache = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .or_else(|| variable("LOCALAPPDATA"))?;
    Some(cache.join("fpt"))
}
