//! Files that are kept for other runs, and may be deleted or damaged at any time: nothing about them stops a run.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fpt_files::{Fingerprint, SealedFormat, Waiting, with_causes};

use super::turn::{self, Turn};
use crate::TrainError;

/// A writer that takes longer for a file is dead.
const LONGEST_WRITE: Duration = Duration::from_secs(24 * 3600);
/// Digits of a hash in a name.
const DIGITS: usize = 32;

/// A directory of files that are kept for other runs, and what was wrong with it so far.
pub(super) struct Cache {
    directory: PathBuf,
    warnings: Vec<String>,
}

impl Cache {
    /// The cache in `directory`, which need not be there. What killed processes left in it is removed.
    pub(super) fn new(directory: &Path) -> Self {
        fpt_files::remove_stale(directory, LONGEST_WRITE, is_ours);
        turn::sweep(directory, is_ours);
        Self {
            directory: directory.to_path_buf(),
            warnings: Vec::new(),
        }
    }

    /// What `parse` makes of the content of a file. Nothing where there is none; one that can't be read, or is damaged,
    /// or that `parse` refuses, is warned of, and counts as none.
    pub(super) fn get<T>(
        &mut self,
        name: &str,
        format: SealedFormat,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<T> {
        let path = self.directory.join(name);
        let found = match fs::read(&path) {
            Ok(bytes) => format
                .read(&bytes)
                .and_then(parse)
                .map_err(|reason| format!("is of no use: {reason}")),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Err(format!("can't be read: {error}")),
        };
        found
            .map_err(|fault| {
                let path = path.display();
                self.warn(format!("{path} {fault}; it is made anew"));
            })
            .ok()
    }

    /// [`Cache::get`], or the turn to make the file, for which another process may have to be waited.
    ///
    /// # Errors
    /// Those of `on_waiting`.
    pub(super) fn turn<T>(
        &mut self,
        name: &str,
        format: SealedFormat,
        parse: &dyn Fn(&[u8]) -> Result<T, String>,
        on_waiting: &mut dyn FnMut(&Waiting<'_>) -> Result<(), TrainError>,
    ) -> Result<Turn<T>, TrainError> {
        let directory = self.directory.clone();
        let mut get = || self.get(name, format, parse);
        turn::turn(&directory, name, &mut get, on_waiting)
    }

    /// Keep a file for other runs. It is warned of where that fails.
    pub(super) fn keep<E: Display>(
        &mut self,
        name: &str,
        format: SealedFormat,
        content: Result<Vec<u8>, E>,
    ) {
        let path = self.directory.join(name);
        let kept = content.map_err(|error| error.to_string()).and_then(|it| {
            fpt_files::create_parents(&path)
                .and_then(|()| format.write(&path, &it))
                .map_err(|error| with_causes(&error))
        });
        if let Err(reason) = kept {
            self.warn(format!("{name} is not kept for other runs: {reason}"));
        }
    }

    fn warn(&mut self, warning: String) {
        // A file is looked at again when it is its turn.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// A line for each thing that was wrong.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}

/// The name of a file: what it is about, and the hash of all that its content depends on.
pub(super) fn name(about: &str, hash: &Fingerprint, extension: &str) -> String {
    format!("{about}-{}.{extension}", &hash.hex()[..DIGITS])
}

/// Whether a name, or the beginning of one, is that of a file of a cache.
fn is_ours(name: &str) -> bool {
    /// A long name is cut in that of a temporary file.
    const FEWEST: usize = 8;
    let end = name.rsplit('-').next().unwrap_or_default();
    let hash = end.split('.').next().unwrap_or_default();
    name.contains('-')
        && (FEWEST..=DIGITS).contains(&hash.len())
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    const FORMAT: SealedFormat = SealedFormat {
        kind: "kind",
        version: 1,
        oldest: 1,
    };

    fn parse(bytes: &[u8]) -> Result<String, String> {
        String::from_utf8(bytes.to_vec()).map_err(|_| "no text".into())
    }

    #[test]
    fn whatever_is_wrong_with_a_cache_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = Cache::new(&directory.path().join("below/cache"));
        assert_eq!(cache.get("a", FORMAT, parse), None);
        cache.keep("a", FORMAT, Ok::<_, String>(b"text".to_vec()));
        assert_eq!(cache.get("a", FORMAT, parse).as_deref(), Some("text"));
        assert!(cache.warnings.is_empty(), "{:?}", cache.warnings);

        let file = directory.path().join("below/cache/a");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(cache.get("a", FORMAT, parse), None);
        FORMAT.write(&file, &[0xff]).unwrap();
        assert_eq!(cache.get("a", FORMAT, parse), None);
        fs::create_dir(directory.path().join("below/cache/b")).unwrap();
        assert_eq!(cache.get("b", FORMAT, parse), None);
        cache.keep("b", FORMAT, Ok::<_, String>(Vec::new()));
        cache.keep("c", FORMAT, Err("too long"));
        let warnings = cache.into_warnings();
        for (warning, parts) in warnings.iter().zip([
            [
                "cache/a is of no use: it is cut short or damaged",
                "made anew",
            ],
            ["cache/a is of no use: no text", "made anew"],
            ["cache/b can't be read: ", "made anew"],
            ["b is not kept for other runs: ", "cache/b"],
            ["c is not kept for other runs: ", "too long"],
        ]) {
            assert!(parts.iter().all(|it| warning.contains(it)), "{warning}");
        }
        assert_eq!(warnings.len(), 5);
    }

    #[test]
    fn what_killed_processes_left_is_removed_when_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let hash = Fingerprint::new();
        let (ours, theirs) = (name("mnli-train", &hash, "safetensors"), "notes.txt");
        // Long names are cut.
        let temporary = |name: &str| format!(".{}.aB3xY9.tmp", &name[..name.len().min(48)]);
        for file in [temporary(&ours), temporary(theirs), ours.clone()] {
            let file = File::create(directory.path().join(file)).unwrap();
            file.set_modified(SystemTime::now() - 2 * LONGEST_WRITE)
                .unwrap();
        }
        Cache::new(directory.path());
        let there = |name: &str| directory.path().join(name).exists();
        assert!(!there(&temporary(&ours)));
        assert!(there(&temporary(theirs)) && there(&ours));
    }
}
