//! The names of tasks and of their splits.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a task, which is also that of its directory: ASCII letters, digits, `-` and `_`.
///
/// The paper's five sort in the order of its tables, any others after them by their letters. Whether there is a task of
/// that name, a registry knows: [`Tasks::get`](crate::Tasks::get).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(Cow<'static, str>);

/// Which part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What prompts are trained on.
    Train,
    /// What checkpoints and settings are chosen on.
    Dev,
    /// What is reported.
    Test,
}

/// A name that no known task or [`Split`] has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {what} `{name}`; expected one of {valid}")]
pub struct UnknownName {
    /// What was asked for: `task` or `split`.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
    /// The valid names, separated by commas.
    pub valid: String,
}

/// A text that can be no task's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` can't be the name of a task; take letters, digits, `-` and `_`")]
pub struct InvalidName {
    /// The text.
    pub name: String,
}

impl TaskName {
    /// Multi-genre natural language inference (GLUE).
    pub const MNLI: Self = Self(Cow::Borrowed("mnli"));
    /// Quora question pairs (GLUE).
    pub const QQP: Self = Self(Cow::Borrowed("qqp"));
    /// Stanford question answering with unanswerable questions, version 2.0.
    pub const SQUAD2: Self = Self(Cow::Borrowed("squad2"));
    /// Reading comprehension with commonsense reasoning (SuperGLUE).
    pub const RECORD: Self = Self(Cow::Borrowed("record"));
    /// Extreme summarization of BBC articles.
    pub const XSUM: Self = Self(Cow::Borrowed("xsum"));

    /// The paper's tasks, in the order of its tables.
    pub const PAPER: [Self; 5] = [
        Self::MNLI,
        Self::QQP,
        Self::SQUAD2,
        Self::RECORD,
        Self::XSUM,
    ];

    /// The name that is written so.
    ///
    /// # Errors
    /// When it is empty or has a character that is no ASCII letter, digit, `-` or `_`.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(valid) {
            return Err(InvalidName {
                name: name.to_owned(),
            });
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The place in the paper's tables; of another task the one behind them.
    fn rank(&self) -> usize {
        let place = Self::PAPER.iter().position(|known| known == self);
        place.unwrap_or(Self::PAPER.len())
    }
}

impl Split {
    /// All splits, in the order of use.
    pub const ALL: [Self; 3] = [Self::Train, Self::Dev, Self::Test];

    /// The lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}

impl UnknownName {
    pub(crate) fn new<'a>(
        what: &'static str,
        name: &str,
        valid: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            what,
            name: name.to_owned(),
            valid: valid.collect::<Vec<_>>().join(", "),
        }
    }
}

impl PartialOrd for TaskName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TaskName {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rank = self.rank().cmp(&other.rank());
        by_rank.then_with(|| self.0.cmp(&other.0))
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TaskName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl TryFrom<String> for TaskName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        name.parse()
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> Self {
        name.0.into_owned()
    }
}

impl FromStr for Split {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|split| split.name() == name);
        found.ok_or_else(|| UnknownName::new("split", name, Self::ALL.into_iter().map(Self::name)))
    }
}
