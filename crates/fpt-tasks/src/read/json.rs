//! JSON errors with their place.

use std::path::Path;

use super::TaskError;

/// Turns serde's error into ours. `line` replaces serde's where each line is a document.
pub(crate) fn json_error(path: &Path, line: Option<usize>, error: &serde_json::Error) -> TaskError {
    let text = error.to_string();
    // Serde appends the place, which our message has already.
    let reason = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(head, _)| head);
    TaskError::Json {
        path: path.to_owned(),
        line: line.unwrap_or_else(|| error.line()),
        column: error.column(),
        reason: reason.to_owned(),
    }
}
