//! Files that tell whether they are whole: a line with kind, format version and digest before the content.

use std::io::Write;
use std::path::Path;

use crate::{FileError, Fingerprint};

/// A kind of sealed files, in the versions of its format that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedFormat {
    /// A word.
    pub kind: &'static str,
    /// The version that is written, and the newest that is read.
    pub version: u32,
    /// The oldest version that is read.
    pub oldest: u32,
}

impl SealedFormat {
    /// Write a file of `content`, as [`crate::write()`] does.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write(self, path: impl AsRef<Path>, content: &[u8]) -> Result<(), FileError> {
        crate::write_with(path, |file| {
            file.write_all(header(self.kind, self.version, content).as_bytes())?;
            file.write_all(content)
        })
    }

    /// The content of a file, given its bytes.
    ///
    /// # Errors
    /// Those of [`unseal`], and if the file has another version.
    pub fn read(self, bytes: &[u8]) -> Result<&[u8], String> {
        let Unsealed { version, content } = unseal(self.kind, bytes)?;
        let (oldest, newest) = (self.oldest, self.version);
        if (oldest..=newest).contains(&version) {
            return Ok(content);
        }
        let than = if version > newest { "newer" } else { "older" };
        let limit = version.clamp(oldest, newest);
        Err(format!(
            "it has version {version} of the format, {than} than {limit}"
        ))
    }
}

/// The content of a sealed file.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsealed<'a> {
    /// The version of its format.
    pub version: u32,
    /// What was sealed.
    pub content: &'a [u8],
}

/// `content` after a line that says of which kind and format version it is, and its SHA-256. `kind` is a word.
#[must_use]
pub fn seal(kind: &str, version: u32, content: &[u8]) -> Vec<u8> {
    let mut sealed = header(kind, version, content).into_bytes();
    sealed.extend_from_slice(content);
    sealed
}

/// What [`seal`] made of it.
///
/// # Errors
/// What is wrong, for people, if this is no such file, or not all of it, or has been changed.
pub fn unseal<'a>(kind: &str, bytes: &'a [u8]) -> Result<Unsealed<'a>, String> {
    let damaged = || "it is cut short or damaged".to_string();
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, content) = bytes.split_at(end.ok_or_else(damaged)? + 1);
    let line = std::str::from_utf8(line).map_err(|_| damaged())?;
    let version = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let version = version.ok_or_else(damaged)?;
    if line != header(kind, version, content) {
        return Err(damaged());
    }
    Ok(Unsealed { version, content })
}

fn header(kind: &str, version: u32, content: &[u8]) -> String {
    let digest = Fingerprint::new().bytes(content).hex();
    format!("{kind} {version} sha256:{digest}\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back() {
        for content in [&b""[..], b"one", b"\n\n", &[0; 1000]] {
            let sealed = seal("kind", 7, content);
            let found = unseal("kind", &sealed).unwrap();
            assert_eq!((found.version, found.content), (7, content));
            assert!(unseal("other", &sealed).is_err());
        }
    }

    #[test]
    fn a_format_knows_some_versions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let format = |version, oldest| SealedFormat {
            kind: "kind",
            version,
            oldest,
        };
        let [old, new, newer, other] = [(1, 1), (2, 1), (3, 2), (9, 3)].map(|(v, o)| format(v, o));
        new.write(&path, b"content").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes, seal("kind", 2, b"content"));
        assert_eq!(new.read(&bytes), Ok(&b"content"[..]));
        assert_eq!(newer.read(&bytes), Ok(&b"content"[..]));
        assert!(
            old.read(&bytes)
                .unwrap_err()
                .contains("2 of the format, newer than 1")
        );
        assert!(
            other
                .read(&bytes)
                .unwrap_err()
                .contains("2 of the format, older than 3")
        );
        assert!(new.read(&bytes[1..]).unwrap_err().contains("damaged"));
    }

    #[test]
    fn every_change_is_seen() {
        let sealed = seal("kind", 1, b"some content");
        for length in 0..sealed.len() {
            assert!(unseal("kind", &sealed[..length]).is_err(), "{length}");
        }
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // The version may become another one, which its reader refuses.
            if let Ok(found) = unseal("kind", &changed) {
                assert!(found.version != 1, "{bit}");
            }
        }
        assert!(unseal("kind", &[&sealed[..], b"more"].concat()).is_err());
    }
}
