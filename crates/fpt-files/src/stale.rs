//! What killed processes leave where they write files.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Remove the temporary files in `directory`, `.NAME.XXXXXX.tmp`, that are older than `age` and whose NAME `is_ours`; of
/// a long name it has the beginning. What can't be removed stays: it is in nobody's way.
pub fn remove_stale(directory: impl AsRef<Path>, age: Duration, is_ours: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().and_then(target_name).is_some_and(&is_ours);
        // Of a link, this is about the link.
        let Some(metadata) = entry.metadata().ok().filter(|_| ours) else {
            continue;
        };
        let modified = metadata.modified().ok();
        let old = modified.and_then(|time| time.elapsed().ok());
        if metadata.is_file() && old.is_some_and(|old| old > age) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What a temporary file or directory was to become, by its name.
pub(crate) fn target_name(temporary: &str) -> Option<&str> {
    /// As `tempfile` has them.
    const RANDOM: usize = 6;
    let bare = temporary.strip_prefix('.')?.strip_suffix(".tmp")?;
    let (name, random) = bare.rsplit_once('.')?;
    let is_random = random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric());
    is_random.then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;
    use crate::listing::names;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn old_temporary_files_of_ours_go() {
        let directory = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * DAY;
        for name in [
            ".ours.json.aB3xY9.tmp",
            ".theirs.json.aB3xY9.tmp",
            ".ours.json.tmp",
            ".ours.json.aB3x_9.tmp",
            "ours.json.aB3xY9.tmp",
            "ours.json",
        ] {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        File::create(directory.path().join(".ours.json.123456.tmp")).unwrap();
        fs::create_dir(directory.path().join(".ours.json.654321.tmp")).unwrap();
        remove_stale(directory.path(), DAY, |name| name.starts_with("ours"));
        assert_eq!(
            names(directory.path()),
            [
                ".ours.json.123456.tmp",
                ".ours.json.654321.tmp",
                ".ours.json.aB3x_9.tmp",
                ".ours.json.tmp",
                ".theirs.json.aB3xY9.tmp",
                "ours.json",
                "ours.json.aB3xY9.tmp",
            ]
        );
        remove_stale(directory.path().join("absent"), DAY, |_| true);
    }

    #[test]
    fn the_names_are_those_that_are_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        crate::write_path(&path, |temporary| {
            let name = temporary.file_name().unwrap().to_str().unwrap();
            assert_eq!(target_name(name), Some("a.json"));
            Ok(())
        })
        .unwrap();
    }
}
