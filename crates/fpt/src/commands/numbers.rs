//! Numbers of options: within what a command can do with them, or refused.

/// A whole number from 1 to `MOST`.
pub(crate) fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
    let within = |count: &usize| (1..=MOST).contains(count);
    let count = text.parse().ok().filter(within);
    count.ok_or_else(|| format!("must be at least 1 and at most {MOST}, a whole number"))
}

/// A whole number from 1.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "must be at least 1, a whole number".into())
}

/// A whole number from 0 to `MOST`.
pub(crate) fn count_or_none<const MOST: usize>(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= MOST);
    count.ok_or_else(|| format!("must be at least 0 and at most {MOST}, a whole number"))
}

/// A number that is neither infinite nor NaN.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a finite number".into())
}

/// A finite number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = finite(text).ok().filter(|number| *number > 0.0);
    number.ok_or_else(|| "must be a finite number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert_eq!(count::<8>("8"), Ok(8));
        assert_eq!(at_least_one("9"), Ok(9));
        assert!(at_least_one("0").is_err());
        assert_eq!(count_or_none::<8>("0"), Ok(0));
        assert_eq!(finite("-2.5"), Ok(-2.5));
        assert_eq!(positive("1e-3"), Ok(1e-3));
        for text in ["0", "9", "-1", "1.5", "18446744073709551616", "", "many"] {
            let error = count::<8>(text).expect_err(text);
            assert!(error.contains("at least 1 and at most 8"), "{error}");
        }
        assert!(count_or_none::<8>("9").is_err());
        for text in ["nan", "inf", "-inf", "1e999", "", "many"] {
            assert!(finite(text).is_err() && positive(text).is_err(), "{text}");
        }
        assert!(positive("0").is_err() && positive("-1").is_err());
    }
}
