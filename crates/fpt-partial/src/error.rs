//! What can be wrong with a selection or with scores.

/// Why there is no partial model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// A selection does not fit the model.
    #[error("selection of the {stack}: {reason}")]
    Selection {
        /// `encoder` or `decoder`.
        stack: &'static str,
        /// What is wrong, with the layer.
        reason: String,
    },
    /// A size is zero, or larger than the model.
    #[error("{stack}.{what} is {wanted}, but must be between 1 and the model's {available}")]
    Size {
        /// `encoder` or `decoder`.
        stack: &'static str,
        /// `layers`, `d_ff` or `heads`.
        what: &'static str,
        /// What was asked for.
        wanted: usize,
        /// What the model has.
        available: usize,
    },
    /// Rows and columns of weights that are integers with scales can't be left out.
    #[error("neurons and heads can't be left out of a model with weights in int8; cut it first")]
    Integers,
    /// A rule needs scores that are not there.
    #[error("the rule `{rule}` needs {what}; score the model first")]
    NoScores {
        /// The rule.
        rule: &'static str,
        /// Which scores.
        what: &'static str,
    },
    /// Scores belong to a model of another shape.
    #[error("the scores are of another model: {reason}")]
    OtherModel {
        /// How they differ.
        reason: String,
    },
    /// Nothing was scored.
    #[error("no example was scored: the sample is empty")]
    NoSample,
}
