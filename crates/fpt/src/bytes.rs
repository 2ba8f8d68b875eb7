//! Numbers of bytes as people write them.

use std::str::FromStr;

use bytesize::ByteSize;

/// So many bytes; written `24GB`, `80 GiB`, `512MB` or as a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(
    /// How many.
    pub u64,
);

/// A text that is no number of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct NoBytes(String);

impl FromStr for Bytes {
    type Err = NoBytes;

    fn from_str(text: &str) -> Result<Self, NoBytes> {
        match text.trim().parse::<ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Ok(Self(size.as_u64())),
            _ => Err(NoBytes(text.to_string())),
        }
    }
}

impl std::fmt::Display for NoBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is no number of bytes: write 24GB, 80GiB or 512MB",
            self.0
        )
    }
}

impl std::error::Error for NoBytes {}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ByteSize(self.0).display().si().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!(read("24GB"), Ok(24_000_000_000));
        assert_eq!(read(" 80 gib "), Ok(80 << 30));
        assert_eq!(read("1.5kB"), Ok(1500));
        assert_eq!(read("7"), Ok(7));
        for wrong in ["", "GB", "-1GB", "0", "nan", "24 XB", "1e30GB", "inf"] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("24GB"), "{error}");
        }
        assert_eq!(Bytes(24_000_000_000).to_string(), "24.0 GB");
    }
}
