//! Exact shares.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

/// Digits after the point that a decimal may have: 10¹⁸ still fits.
const DIGITS: usize = 18;

/// An exact fraction in (0, 1], in lowest terms: `1/4` stays a quarter.
///
/// Written and read as `1/4`; decimals such as `0.25` are read too, also as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Share {
    numerator: u64,
    denominator: u64,
}

/// What is no [`Share`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no share; write a fraction such as 1/4 or a decimal such as 0.25, more than 0 and at \
     most 1.0"
)]
pub struct ShareError(
    /// As given.
    pub String,
);

impl Share {
    /// 1/5, the paper's share of the steps for each partial stage.
    pub const FIFTH: Self = Self::exact(1, 5);
    /// 1/4.
    pub const QUARTER: Self = Self::exact(1, 4);
    /// 1/2.
    pub const HALF: Self = Self::exact(1, 2);
    /// All.
    pub const ALL: Self = Self::exact(1, 1);
    /// 3/4.
    pub const THREE_QUARTERS: Self = Self::exact(3, 4);

    const fn exact(numerator: u64, denominator: u64) -> Self {
        Self {
            numerator,
            denominator,
        }
    }

    /// `numerator / denominator`.
    ///
    /// # Errors
    /// When that is not in (0, 1].
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, ShareError> {
        if numerator == 0 || numerator > denominator {
            return Err(ShareError(format!("{numerator}/{denominator}")));
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Ok(Self::exact(numerator / divisor, denominator / divisor))
    }

    /// This share of `full`, rounded to the nearest integer (a half up), at least 1.
    pub fn of(self, full: usize) -> usize {
        let product = u128::from(self.numerator) * full as u128;
        let denominator = u128::from(self.denominator);
        let (quotient, remainder) = (product / denominator, product % denominator);
        let rounded = quotient + u128::from(remainder >= denominator - remainder);
        // At most `full`, so it fits.
        (rounded as usize).max(1)
    }

    /// As a number in (0, 1].
    pub fn value(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// Above the line and below it, in lowest terms.
    pub const fn fraction(self) -> (u64, u64) {
        (self.numerator, self.denominator)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.numerator, self.denominator))
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let fail = || ShareError(text.to_owned());
        if let Some((above, below)) = text.split_once('/') {
            let above = digits(above.trim()).ok_or_else(fail)?;
            let below = digits(below.trim()).ok_or_else(fail)?;
            return Self::new(above, below).map_err(|_| fail());
        }
        let (whole, fraction) = text.trim().split_once('.').ok_or_else(fail)?;
        if fraction.len() > DIGITS {
            return Err(fail());
        }
        let scale = 10_u64.pow(fraction.len() as u32);
        digits(whole)
            .and_then(|whole| whole.checked_mul(scale)?.checked_add(digits(fraction)?))
            .ok_or_else(fail)
            .and_then(|above| Self::new(above, scale).map_err(|_| fail()))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }
}

struct ShareVisitor;

impl de::Visitor<'_> for ShareVisitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a share of the whole (a float more than 0 and at most 1.0, or a fraction such as \"1/4\")",
        )
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Share, E> {
        Share::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Share, E> {
        let unexpected = |_| E::invalid_value(de::Unexpected::Str(value), &self);
        value.parse().map_err(unexpected)
    }
}

/// The shortest decimal that is this number, so that 0.2 is exactly 1/5. Digits beyond the 18th
/// are dropped.
impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(value: f64) -> Result<Self, ShareError> {
        // `Debug` would write small numbers with an exponent.
        let mut text = format!("{value}");
        match text.find('.') {
            Some(point) => text.truncate(text.len().min(point + 1 + DIGITS)),
            None => text.push_str(".0"),
        }
        text.parse().map_err(|_| ShareError(value.to_string()))
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        product(self.numerator, other.denominator).cmp(&product(other.numerator, self.denominator))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `parse` would take a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_and_keeps_one() {
        let of = |text: &str, full| text.parse::<Share>().unwrap().of(full);
        assert_eq!(of("1/4", 24), 6);
        assert_eq!(of("0.25", 2816), 704);
        assert_eq!(of("1/3", 10), 3);
        assert_eq!(of("2/3", 10), 7);
        assert_eq!(of("1/2", 5), 3);
        assert_eq!(of("0.001", 24), 1);
        assert_eq!(of("1.0", usize::MAX), usize::MAX);
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(Share::try_from(0.2), Ok(Share::FIFTH));
        assert_eq!(Share::try_from(1.0).unwrap().to_string(), "1/1");
        assert_eq!("3 / 12".parse(), Ok(Share::QUARTER));
        assert!(Share::try_from(1.0 / 3.0).is_ok());
        assert!(Share::try_from(0.001_234_567_890_123_456_7).is_ok());
    }

    #[test]
    fn refuses_what_is_no_share() {
        for text in [
            "",
            "1",
            "0.0",
            "1.5",
            "5/4",
            "0/3",
            "1/0",
            "-0.5",
            "+0.5",
            ".",
            "1/2/3",
            "1e-1",
            "a/b",
            "0.12345678901234567890",
            "99999999999999999999/1",
        ] {
            let error = text.parse::<Share>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` is no share"))
            );
        }
        for value in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY, 1e-30] {
            assert!(Share::try_from(value).is_err(), "{value}");
        }
    }

    #[test]
    fn ordered_by_value() {
        let mut shares = ["2/3", "0.5", "3/4", "1/4"].map(|s| s.parse::<Share>().unwrap());
        shares.sort();
        assert_eq!(shares.map(|s| s.to_string()), ["1/4", "1/2", "2/3", "3/4"]);
    }
}
