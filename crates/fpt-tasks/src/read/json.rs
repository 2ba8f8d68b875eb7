//! JSON, with the place of every error.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Lines, Sink, TaskError};

/// An id, which some files have as a number.
#[derive(Deserialize)]
#[serde(from = "WrittenId")]
pub(crate) struct Id(pub(crate) String);

#[derive(Deserialize)]
#[serde(untagged, expecting = "the id is neither a string nor a number")]
enum WrittenId {
    Text(String),
    Number(serde_json::Number),
}

impl From<WrittenId> for Id {
    fn from(id: WrittenId) -> Self {
        match id {
            WrittenId::Text(id) => Self(id),
            WrittenId::Number(id) => Self(id.to_string()),
        }
    }
}

/// Turns serde's error into ours. `line` replaces serde's where each line is a document.
pub(crate) fn json_error(path: &Path, line: Option<usize>, error: &serde_json::Error) -> TaskError {
    error_at(
        path,
        line.unwrap_or_else(|| error.line()),
        error.column(),
        error,
    )
}

fn error_at(path: &Path, line: usize, column: usize, error: &serde_json::Error) -> TaskError {
    let text = error.to_string();
    // Serde appends the place, which our message has already.
    let reason = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(head, _)| head);
    TaskError::Json {
        path: path.to_owned(),
        line,
        column,
        reason: reason.to_owned(),
    }
}

/// What [`json_lines`] makes of a line.
pub(crate) type VisitLine<'v, T> =
    &'v mut dyn FnMut(usize, T, &mut dyn Sink) -> Result<(), TaskError>;

/// Reads one JSON value a line.
pub(crate) fn json_lines<T: DeserializeOwned>(
    mut lines: Lines<'_>,
    sink: &mut dyn Sink,
    visit: VisitLine<'_, T>,
) -> Result<(), TaskError> {
    let path = lines.path();
    while let Some((line, text)) = lines.next_valid(sink)? {
        match serde_json::from_str(text) {
            Ok(value) => visit(line, value, sink)?,
            Err(error) => sink.fault(json_error(path, Some(line), &error))?,
        }
    }
    Ok(())
}

/// Knows where in a document its unparsed parts lie. Parts must be asked about in the order of the
/// document, so that its lines are counted once.
pub(crate) struct Places<'a> {
    path: &'a Path,
    text: &'a str,
    offset: usize,
    line: usize,
    line_start: usize,
}

impl<'a> Places<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            text,
            offset: 0,
            line: 1,
            line_start: 0,
        }
    }

    /// The line at which `part` begins. `part` was borrowed from the document.
    pub(crate) fn line(&mut self, part: &RawValue) -> usize {
        // Both point into the same text, so the difference of addresses is the offset.
        let start = (part.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let passed = self.text.as_bytes().get(self.offset..start);
        for (at, _) in passed
            .unwrap_or_default()
            .iter()
            .enumerate()
            .filter(|&(_, &byte)| byte == b'\n')
        {
            self.line += 1;
            self.line_start = self.offset + at + 1;
        }
        self.offset = self.offset.max(start);
        self.line
    }

    /// An error of parsing the part that was asked about last.
    pub(crate) fn error(&self, error: &serde_json::Error) -> TaskError {
        let (line, mut column) = (self.line + error.line().max(1) - 1, error.column());
        if line == self.line {
            column += self.offset - self.line_start;
        }
        error_at(self.path, line, column, error)
    }
}
