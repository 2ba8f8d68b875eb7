//! Where answers go.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt::terminal::print_line;
use fpt_tasks::{Gold, Task};
use serde_json::{Map, Value, json};

use super::input::{Content, Text};

/// Answers on their way to standard output, or to a file that appears when it is whole.
pub(super) struct Output<'a> {
    json: bool,
    file: Option<(PathBuf, String)>,
    task: Option<&'a dyn Task>,
}

impl<'a> Output<'a> {
    pub(super) fn new(json: bool, path: Option<&Path>, task: Option<&'a dyn Task>) -> Self {
        let extension = path.and_then(Path::extension);
        let is_json = extension.is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
        Self {
            json: json || is_json,
            file: path.map(|path| (path.to_path_buf(), String::new())),
            task,
        }
    }

    /// The answer to a text.
    pub(super) fn tell(&mut self, text: &Text, answer: &str) -> anyhow::Result<()> {
        let line = if self.json {
            let value = self.json(text, answer);
            serde_json::to_string(&value).context("failed to write JSON")?
        } else {
            // The n-th answer is on the n-th line. To a row it is as its file would have it.
            let label = match &text.content {
                Content::Line(_) => None,
                Content::Row(_) => self.label(answer),
            };
            one_line(label.unwrap_or(answer)).into_owned()
        };
        match &mut self.file {
            Some((_, lines)) => {
                lines.push_str(&line);
                lines.push('\n');
                Ok(())
            }
            None => print_line(&line),
        }
    }

    /// The label that an answer is, as the task's files have it.
    fn label(&self, answer: &str) -> Option<&str> {
        self.task?.as_in_files(answer)
    }

    fn json(&self, text: &Text, answer: &str) -> Value {
        let example = match &text.content {
            Content::Line(line) => return json!({ "text": line, "answer": answer }),
            Content::Row(example) => example,
        };
        let mut line = Map::new();
        line.insert("id".into(), example.id.clone().into());
        line.insert("source".into(), example.source.clone().into());
        line.insert("answer".into(), answer.into());
        if let Some(label) = self.label(answer) {
            line.insert("label".into(), label.into());
        }
        if let Gold::Answers(gold) = &example.gold {
            line.insert("gold".into(), gold.clone().into());
            let right = self.task.and_then(|task| task.is_right(example, answer));
            line.insert("right".into(), right.into());
        }
        line.into()
    }

    /// Let the file appear, if there is one; says where, for the closing line.
    pub(super) fn finish(self) -> anyhow::Result<String> {
        let Some((path, lines)) = self.file else {
            return Ok(String::new());
        };
        fpt_files::write(&path, lines)?;
        Ok(format!(", in {}", path.display()))
    }
}

/// An answer without its line breaks, whatever they are written with.
fn one_line(answer: &str) -> Cow<'_, str> {
    let breaks = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
    ];
    if !answer.contains(breaks) {
        return Cow::Borrowed(answer);
    }
    let parts = answer.split(breaks).filter(|part| !part.is_empty());
    Cow::Owned(parts.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_line() {
        assert_eq!(one_line("a b"), "a b");
        assert_eq!(one_line("a\r\nb\n"), "a b");
        assert_eq!(one_line("\u{2028}a\u{85}b"), "a b");
    }
}
