//! A check and how it came out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

/// What was measured, and how large it may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    /// The largest error, as a share of the largest number; nothing where the check did not come to an end.
    pub(super) error: Option<f64>,
    pub(super) bound: f64,
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) note: Option<String>,
}

impl Check {
    /// An error that must not be above `bound`; one that is no number is.
    pub(super) fn new(name: impl Into<String>, error: f64, bound: f64) -> Self {
        Self {
            name: name.into(),
            // JSON has no other numbers.
            error: error.is_finite().then_some(error),
            bound,
            ok: error <= bound,
            note: (!error.is_finite()).then(|| "not all numbers are finite".into()),
        }
    }

    pub(super) fn with_note(self, note: Option<String>) -> Self {
        Self {
            note: self.note.or(note),
            ..self
        }
    }

    /// One that did not come to an end.
    pub(super) fn failed(name: impl Into<String>, why: String) -> Self {
        Self {
            name: name.into(),
            error: None,
            bound: 0.0,
            ok: false,
            note: Some(why),
        }
    }

    pub(super) fn describe(&self) -> String {
        let verdict = if self.ok { "ok   " } else { "WRONG" };
        let error = self
            .error
            .map_or_else(|| "-".into(), |error| format!("{error:.1e}"));
        let note = self
            .note
            .as_ref()
            .map_or_else(String::new, |note| format!("  {note}"));
        format!(
            "{verdict} {error:>8} of {:.0e}  {}{note}",
            self.bound, self.name
        )
    }
}

/// The checks that `work` makes; if it fails or panics, that is a failed check called `name`.
pub(super) fn guarded(name: &str, work: impl FnOnce() -> anyhow::Result<Vec<Check>>) -> Vec<Check> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => vec![Check::failed(name, fpt::terminal::with_causes(&error))],
        Err(panic) => {
            let text = (panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
                .or_else(|| panic.downcast_ref::<String>().cloned());
            let why = text.unwrap_or_else(|| "it panicked".into());
            vec![Check::failed(name, why.replace('\n', " "))]
        }
    }
}

/// The largest difference of two lists of numbers, as a share of the largest of `expected`. Infinite where they are
/// not as many, or one is no number.
pub(super) fn relative(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() || found.iter().chain(expected).any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let largest = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
    let size = largest(&mut expected.iter().map(|&x| f64::from(x).abs()));
    let pairs = found.iter().zip(expected);
    let off = largest(&mut pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()));
    off / size.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_does_not_end_has_failed() {
        let fine = guarded("fine", || Ok(vec![Check::new("a", 0.1, 0.2)]));
        assert!(fine[0].ok);
        let [failed] = &guarded("errs", || anyhow::bail!("no kernel"))[..] else {
            panic!("one check");
        };
        assert_eq!(
            (failed.ok, failed.note.as_deref()),
            (false, Some("no kernel"))
        );
        let [failed] = &guarded("panics", || panic!("no {}", "driver"))[..] else {
            panic!("one check");
        };
        assert_eq!(failed, &Check::failed("panics", "no driver".into()));
    }

    #[test]
    fn errors_are_shares_and_what_is_no_number_is_wrong() {
        assert_eq!(relative(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
        assert_eq!(relative(&[0.0], &[0.0]), 0.0);
        for found in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[1.0]] {
            assert!(!Check::new("a", relative(found, &[1.0, 1.0]), 1e9).ok);
        }
        assert!(!Check::new("a", f64::NAN, 1.0).ok);
    }
}
