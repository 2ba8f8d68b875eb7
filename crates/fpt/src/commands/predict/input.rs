//! What is to be answered: lines, or rows of a task.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use anyhow::Context;
use fpt::terminal;
use fpt_tasks::declared::holds_rows;
use fpt_tasks::{Example, Split, Task};

/// What some editors and Excel put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 16;

/// A text to be answered.
pub(super) struct Text {
    /// Where it stands, for messages.
    pub(super) place: String,
    pub(super) content: Content,
}

/// A line, or an example of a task.
pub(super) enum Content {
    Line(String),
    Row(Box<Example>),
}

impl Text {
    /// For the encoder.
    pub(super) fn source(&self) -> &str {
        match &self.content {
            Content::Line(line) => line,
            Content::Row(example) => &example.source,
        }
    }
}

/// Whether a file is of rows of a task, not of lines of text: by its extension, or because it is called as the task's files
/// are.
pub(super) fn is_of_rows(path: &Path, task: &dyn Task) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    holds_rows(path)
        || Split::ALL
            .into_iter()
            .any(|split| name == Some(task.file(split)))
}

/// The rows of a file. Each query is there once.
pub(super) fn rows(task: &dyn Task, path: &Path) -> anyhow::Result<Vec<Text>> {
    let data = task.read(path)?.evaluation();
    let warnings = data.warnings.to_string();
    if !warnings.is_empty() {
        terminal::note(&format!("warning: {warnings}"));
    }
    let text = |example: Example| Text {
        place: format!("row `{}` of {}", example.id, path.display()),
        content: Content::Row(Box::new(example)),
    };
    Ok(data.examples.into_iter().map(text).collect())
}

/// The lines of a file, or of standard input.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read>>,
    name: String,
    /// Whether what is there is to be answered before more is waited for.
    waits: bool,
    count: usize,
}

impl Lines {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let (reader, name, waits): (Box<dyn Read>, _, _) = match path {
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("failed to read {name}"))?;
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                (Box::new(file), name, !is_file)
            }
            None => (Box::new(stdin()), "standard input".into(), true),
        };
        Ok(Self {
            reader: BufReader::with_capacity(AT_ONCE, reader),
            name,
            waits,
            count: 0,
        })
    }

    /// The next lines, so many at most; none at the end. At least one is waited for; where lines come one by one, no more.
    pub(super) fn next(&mut self, most: usize) -> anyhow::Result<Vec<Text>> {
        let mut texts = Vec::new();
        while texts.len() < most {
            let place = format!("line {} of {}", self.count + 1, self.name);
            let mut line = String::new();
            let read = self.reader.read_line(&mut line);
            if read.with_context(|| format!("failed to read {place}"))? == 0 {
                break;
            }
            if line.ends_with('\n') {
                line.pop();
                if line.ends_with('\r') {
                    line.pop();
                }
            }
            if self.count == 0 && line.starts_with(BYTE_ORDER_MARK) {
                line.remove(0);
            }
            self.count += 1;
            texts.push(Text {
                place,
                content: Content::Line(line),
            });
            if self.waits && !self.reader.buffer().contains(&b'\n') {
                break;
            }
        }
        Ok(texts)
    }
}
