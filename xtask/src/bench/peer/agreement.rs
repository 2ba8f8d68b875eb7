//! Whether the two sides computed the same.

use anyhow::{Context, ensure};
use serde_json::Value;

/// So many answers must be the same: random weights make near ties, which rounding decides.
const SAME_ANSWERS: f64 = 0.9;

/// What is held against each other.
#[derive(Clone, Copy)]
pub(super) enum Agreement {
    /// The first losses, which may differ by this share.
    Loss { within: f64 },
    /// The numbers of tokens.
    Tokens,
    /// The ids of the answers. Where the two sides do not compute with the same weights, it is only told how many are
    /// the same; else most are `required` to be.
    Answers { required: bool },
}

impl Agreement {
    /// How far the two sides agree on what they computed from the same start: the relative difference of the losses, or
    /// the share of what is the same.
    pub(super) fn of(self, ours: &Value, theirs: &Value) -> anyhow::Result<f64> {
        match self {
            Self::Loss { within } => loss(ours, theirs, within),
            Self::Tokens => {
                ensure!(
                    ours == theirs,
                    "the numbers of tokens differ: {ours} here, {theirs} there"
                );
                Ok(1.0)
            }
            Self::Answers { required } => answers(ours, theirs, required),
        }
    }
}

fn loss(ours: &Value, theirs: &Value, within: f64) -> anyhow::Result<f64> {
    let (a, b) = ours.as_f64().zip(theirs.as_f64()).context("no loss")?;
    let difference = (a - b).abs() / b.abs();
    ensure!(
        difference < within,
        "the losses differ: {a} here, {b} there"
    );
    Ok(difference)
}

fn answers(ours: &Value, theirs: &Value, required: bool) -> anyhow::Result<f64> {
    let (ours, theirs) = (rows(ours)?, rows(theirs)?);
    ensure!(
        ours.len() == theirs.len() && !ours.is_empty(),
        "the numbers of answers differ: {} here, {} there",
        ours.len(),
        theirs.len()
    );
    let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
    let share = same as f64 / ours.len() as f64;
    ensure!(
        share >= SAME_ANSWERS || !required,
        "only {same} of {} answers are the same",
        ours.len()
    );
    Ok(share)
}

fn rows(value: &Value) -> anyhow::Result<Vec<Vec<u32>>> {
    let mut rows: Vec<Vec<u32>> = serde_json::from_value(value.clone())?;
    for row in &mut rows {
        // transformers pads rows that have ended.
        let length = row.iter().rposition(|&id| id != 0).map_or(0, |at| at + 1);
        row.truncate(length);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn same(required: bool, ours: &Value, theirs: &Value) -> anyhow::Result<f64> {
        Agreement::Answers { required }.of(ours, theirs)
    }

    #[test]
    fn padding_is_no_part_of_an_answer() {
        let (ours, theirs) = (json!([[5, 1], [6, 7]]), json!([[5, 1, 0, 0], [6, 7, 0]]));
        assert_eq!(same(true, &ours, &theirs).expect("the same"), 1.0);
    }

    #[test]
    fn other_answers_fail_only_where_they_must_be_the_same() {
        let (ours, theirs) = (json!([[5], [6]]), json!([[5], [7]]));
        assert_eq!(same(false, &ours, &theirs).expect("a share"), 0.5);
        let error = same(true, &ours, &theirs).expect_err("too few");
        assert_eq!(error.to_string(), "only 1 of 2 answers are the same");
    }

    #[test]
    fn a_few_near_ties_are_forgiven() {
        let ours: Vec<[u32; 1]> = (1..=10).map(|id| [id]).collect();
        let mut theirs = ours.clone();
        theirs[3] = [77];
        assert_eq!(same(true, &json!(ours), &json!(theirs)).expect("nine"), 0.9);
        theirs[4] = [77];
        assert!(same(true, &json!(ours), &json!(theirs)).is_err());
    }

    #[test]
    fn a_missing_answer_is_never_forgiven() {
        assert!(same(false, &json!([[5], [6]]), &json!([[5]])).is_err());
        assert!(same(false, &json!([]), &json!([])).is_err());
    }

    #[test]
    fn losses_differ_by_rounding_only() {
        let loss = Agreement::Loss { within: 1e-3 };
        let of = |a: f64, b: f64| loss.of(&json!(a), &json!(b));
        assert!(of(2.0, 2.000_1).is_ok_and(|difference| difference < 1e-4));
        assert!(of(2.0, 2.1).is_err());
        assert!(loss.of(&Value::Null, &json!(2.0)).is_err());
    }

    #[test]
    fn numbers_of_tokens_are_equal() {
        assert!(Agreement::Tokens.of(&json!(7), &json!(7)).is_ok());
        assert!(Agreement::Tokens.of(&json!(7), &json!(8)).is_err());
    }
}
