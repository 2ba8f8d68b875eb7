//! Opening files that others have put there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What the text begins with that Git LFS puts in place of a large file.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v";
/// Such a text is shorter than this, by its specification.
const LONGEST_POINTER: u64 = 1024;

/// Open a file for reading.
///
/// # Errors
/// Those of [`File::open`], and one that says what to do if the file is not there itself, but a pointer of Git LFS.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // Nothing is read of what can't be read again, such as a pipe.
    if metadata.is_file() && metadata.len() < LONGEST_POINTER {
        let mut start = Vec::new();
        (&mut file)
            .take(POINTER.len() as u64)
            .read_to_end(&mut start)?;
        is_no_pointer(&start)?;
        file.seek(SeekFrom::Start(0))?;
    }
    Ok(file)
}

/// Read a whole file.
///
/// # Errors
/// As [`open`].
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_no_pointer(start: &[u8]) -> io::Result<()> {
    if !start.starts_with(POINTER) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "it is a pointer of Git LFS, not the file itself; get that with `git lfs pull` in its repository, or download it",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        std::fs::write(&path, pointer).unwrap();
        for error in [open(&path).unwrap_err(), read(&path).unwrap_err()] {
            assert!(error.to_string().contains("git lfs pull"), "{error}");
        }
        for text in ["", "version", "version https://git-lfs.github.com/about"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap(), text.as_bytes());
        }
        // A text about one.
        let long = format!("{pointer}{}", "x".repeat(2000));
        std::fs::write(&path, &long).unwrap();
        assert_eq!(read(&path).unwrap(), long.as_bytes());
        assert!(read(directory.path().join("nothing")).is_err());
    }
}
