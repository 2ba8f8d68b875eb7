//! How much: a number, or a share.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Share;

/// How much of the full model, or of all steps.
///
/// In TOML and JSON an integer is a count, a float in (0, 1] is a share, and a string such as
/// `"1/4"` is an exact share, which is also how shares are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// So much of what there is.
    Share(Share),
}

impl Amount {
    /// The number of layers, neurons, heads or steps, given all of them. A share is rounded to the
    /// nearest integer and at least 1; a count stays as it is, even where it is more than `full`.
    pub fn of(self, full: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => share.of(full),
        }
    }
}

impl From<usize> for Amount {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<Share> for Amount {
    fn from(share: Share) -> Self {
        Self::Share(share)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => fmt::Display::fmt(count, f),
            Self::Share(share) => fmt::Display::fmt(share, f),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => count.serialize(serializer),
            Self::Share(share) => share.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl de::Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a count (an integer, 0 or more), or a share of the whole (a float more than 0 and at \
             most 1.0, or a fraction such as \"1/4\")",
        )
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
        usize::try_from(value)
            .map(Amount::Count)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
        usize::try_from(value)
            .map(Amount::Count)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
        Share::try_from(value)
            .map(Amount::Share)
            .map_err(|_| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Amount, E> {
        value
            .parse()
            .map(Amount::Share)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}
