//! What is wrong with a declaration.

use thiserror::Error;

use crate::TaskName;

/// A declaration that makes no task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`tasks.{task}.{key}` {reason}")]
pub struct DeclarationError {
    /// The task.
    pub task: TaskName,
    /// The key of the declaration.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}
