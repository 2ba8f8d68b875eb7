//! SHA-256 of everything that something depends on, for names of files that are kept for other runs.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::FileError;

/// Bytes of a file that are read at a time.
const CHUNK: usize = 1 << 20;

/// SHA-256 of what is added to it, in turn.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the length of a text in bytes, as [`Self::number`] does, then the text: neighbouring texts can't be
    /// confused.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    /// Adds bytes as they are, without their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Adds a number as eight bytes, little-endian.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds the content of a file, without its length. A part at a time is in memory.
    ///
    /// # Errors
    /// [`FileError::Read`]. A part of the file may have been added then.
    pub fn file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self, FileError> {
        let path = path.as_ref();
        File::open(path)
            .and_then(|file| self.reader(file))
            .map_err(FileError::read(path))
    }

    /// Adds all that a reader gives. It need not be buffered.
    ///
    /// # Errors
    /// The reader's. A part of its bytes has been added then.
    pub fn reader(&mut self, mut reader: impl Read) -> io::Result<&mut Self> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(self),
                Ok(length) => _ = self.bytes(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The hash of what was added so far: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        let digest = self.0.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether a text is what [`Fingerprint::hex`] gives: 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    is_lower_hex(text, 64)
}

pub(crate) fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        // FIPS 180-2, appendix B.
        assert_eq!(
            Fingerprint::new().bytes(b"abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            Fingerprint::new().hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let hex = Fingerprint::new().hex();
        assert!(is_sha256(&hex) && !is_sha256(&hex[1..]) && !is_sha256(&hex.to_uppercase()));
    }

    #[test]
    fn texts_are_added_with_their_lengths() {
        let of = |texts: [&str; 2]| Fingerprint::new().text(texts[0]).text(texts[1]).hex();
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_eq!(
            Fingerprint::new().text("äb").hex(),
            Fingerprint::new()
                .bytes(&[3, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa4, b'b'])
                .hex()
        );
    }

    #[test]
    fn a_file_is_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..CHUNK + 7).map(|i| i as u8).collect();
        std::fs::write(&path, &content).unwrap();
        assert_eq!(
            Fingerprint::new().file(&path).unwrap().hex(),
            Fingerprint::new().bytes(&content).hex()
        );
        let absent = directory.path().join("absent");
        let error = Fingerprint::new().file(&absent).unwrap_err().to_string();
        assert!(error.contains(&absent.display().to_string()), "{error}");
    }
}
