//! Tasks that are declared, not programmed.

mod declaration;
mod error;
mod holdout;
mod metric;
#[cfg(feature = "schema")]
mod schema;
mod survey;
mod task;
mod template;

pub use crate::read::holds_rows;
pub use declaration::{AnswerBy, Declaration, Files, Holdout, Labels, Part};
pub use error::DeclarationError;
pub use metric::Metric;
pub use survey::{Column, Survey};
pub use task::DeclaredTask;
