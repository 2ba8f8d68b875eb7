//! Numbers of bytes as people write them.

use std::str::FromStr;

/// So many bytes; written `24GB`, `80 GiB`, `512MB` or as a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(
    /// How many.
    pub u64,
);

/// A text that is no number of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct NoBytes(String);

const UNITS: [(&str, u64); 7] = [
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("b", 1),
];

impl FromStr for Bytes {
    type Err = NoBytes;

    fn from_str(text: &str) -> Result<Self, NoBytes> {
        let refused = || NoBytes(text.to_string());
        let lower = text.trim().to_lowercase();
        let unit = lower.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = lower.split_at(unit.unwrap_or(lower.len()));
        let unit = match unit {
            "" => 1,
            unit => {
                UNITS
                    .iter()
                    .find(|known| known.0 == unit)
                    .ok_or_else(refused)?
                    .1
            }
        };
        let number: f64 = number.trim().parse().map_err(|_| refused())?;
        let bytes = number * unit as f64;
        if !(bytes >= 1.0 && bytes < u64::MAX as f64) {
            return Err(refused());
        }
        Ok(Self(bytes as u64))
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
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.1} GB", bytes / 1e9),
        }
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
