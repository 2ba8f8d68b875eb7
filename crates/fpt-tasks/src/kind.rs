//! The names of the tasks and of their splits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One of the paper's five tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Multi-genre natural language inference (GLUE).
    Mnli,
    /// Quora question pairs (GLUE).
    Qqp,
    /// Stanford question answering with unanswerable questions, version 2.0.
    Squad2,
    /// Reading comprehension with commonsense reasoning (SuperGLUE).
    Record,
    /// Extreme summarization of BBC articles.
    Xsum,
}

/// Which part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What prompts are trained on.
    Train,
    /// What checkpoints and settings are chosen on.
    Dev,
    /// What is reported.
    Test,
}

/// A name that is no [`TaskKind`] or [`Split`].
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

impl TaskKind {
    /// All tasks, in the order of the paper's tables.
    pub const ALL: [Self; 5] = [
        Self::Mnli,
        Self::Qqp,
        Self::Squad2,
        Self::Record,
        Self::Xsum,
    ];

    /// The lower-case name, which is also the name of the task's directory.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnli => "mnli",
            Self::Qqp => "qqp",
            Self::Squad2 => "squad2",
            Self::Record => "record",
            Self::Xsum => "xsum",
        }
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

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TaskKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find("task", &Self::ALL, Self::name, name)
    }
}

impl FromStr for Split {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find("split", &Self::ALL, Self::name, name)
    }
}

fn find<T: Copy>(
    what: &'static str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
    name: &str,
) -> Result<T, UnknownName> {
    all.iter()
        .copied()
        .find(|&item| name_of(item) == name)
        .ok_or_else(|| UnknownName {
            what,
            name: name.to_owned(),
            valid: all
                .iter()
                .map(|&item| name_of(item))
                .collect::<Vec<_>>()
                .join(", "),
        })
}
