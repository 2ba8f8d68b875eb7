//! Tables with a header, one text or several and a label a row, as a task declares them.

use std::io::BufRead;
use std::path::Path;

use super::tsv::Header;
use super::{Lines, Sink, TaskError, read_rows};

/// A table of tab-separated columns, found by the names in its first line. What is not named is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFormat<'a> {
    /// The format in a few words, for errors.
    pub expected: &'a str,
    /// The column of the examples' ids. Where it is missing, rows are numbered from 0.
    pub id: &'a str,
    /// The columns of the texts; none may be missing.
    pub texts: &'a [&'a str],
    /// The source, in which `{column}` stands for a text.
    pub source: &'a str,
    /// The column of the answers. Where it is missing, they are hidden.
    pub label: LabelColumn<'a>,
}

/// A column of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelColumn<'a> {
    /// Its name.
    pub column: &'a str,
    /// What may stand there, each with the target that it means.
    pub labels: &'a [(&'a str, &'a str)],
    /// What stands there where there is no label: such rows are skipped with a warning.
    pub unlabelled: Option<&'a str>,
}

impl TableFormat<'_> {
    /// Reads a table into `sink`, for [`Task::scan`](crate::Task::scan). Rows of the wrong width are skipped with a
    /// warning, unless they are more than 1 % and at least 10.
    ///
    /// # Errors
    /// When there is no header or it lacks a text, when a label is none of the declared, and when
    /// [`source`](Self::source) names no text.
    pub fn scan(
        &self,
        reader: &mut dyn BufRead,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(), TaskError> {
        let template = Template::parse(self.source, self.texts)?;
        let mut lines = Lines::new(reader, path);
        let header = Header::read(&mut lines, self.expected)?;
        let Some(texts) = header.require(path, self.texts, sink)? else {
            return Ok(());
        };
        let label = header.find(self.label.column);
        let id = header.find(self.id);
        read_rows(lines, header.len(), sink, &mut |row, sink| {
            for (name, &column) in self.texts.iter().zip(&texts) {
                row.field(sink, name, row.cells[column]);
            }
            let value = label.map(|column| row.cells[column]);
            if let Some(value) = value.filter(|_| value == self.label.unlabelled) {
                row.skip(sink, format!("no gold label (`{value}`); skipped"));
                return Ok(());
            }
            let target = match value {
                None => None,
                Some(value) => match self.label.target(value) {
                    Some(target) => Some(target),
                    None => return sink.fault(row.error(self.label.refusal(value))),
                },
            };
            let source = template.fill(|text| row.cells[texts[text]]);
            row.example(sink, id, source, target);
            Ok(())
        })
    }
}

impl<'a> LabelColumn<'a> {
    /// The targets that there are.
    pub(crate) fn targets(&self) -> Vec<&'a str> {
        self.labels.iter().map(|&(_, target)| target).collect()
    }

    /// What stands in the file for a target.
    pub(crate) fn written(&self, target: &str) -> Option<&'a str> {
        let found = self.labels.iter().find(|(_, known)| *known == target);
        found.map(|&(label, _)| label)
    }

    fn target(&self, value: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| *label == value);
        found.map(|&(_, target)| target)
    }

    fn refusal(&self, value: &str) -> String {
        let labels = self.labels.iter().map(|&(label, _)| label);
        let mut valid: Vec<_> = labels.chain(self.unlabelled).collect();
        let last = valid.pop().unwrap_or_default();
        let valid = if valid.is_empty() {
            last.to_owned()
        } else {
            format!("{} or {last}", valid.join(", "))
        };
        format!("{} is `{value}`; expected {valid}", self.column)
    }
}

/// A text with holes.
struct Template<'a> {
    /// What goes before a hole, and the number of the text that fills it.
    parts: Vec<(&'a str, usize)>,
    /// What follows the last hole.
    end: &'a str,
}

impl<'a> Template<'a> {
    fn parse(template: &'a str, texts: &[&str]) -> Result<Self, TaskError> {
        let wrong = |reason: String| TaskError::Template {
            template: template.to_owned(),
            reason,
        };
        let mut parts = Vec::new();
        let mut end = template;
        while let Some((before, rest)) = end.split_once('{') {
            let (name, after) = rest
                .split_once('}')
                .ok_or_else(|| wrong("has a `{` without its `}`".to_owned()))?;
            let text = texts.iter().position(|text| *text == name).ok_or_else(|| {
                let texts = texts.join(", ");
                wrong(format!("names `{name}`; expected one of {texts}"))
            })?;
            parts.push((before, text));
            end = after;
        }
        Ok(Self { parts, end })
    }

    fn fill<'t>(&self, text: impl Fn(usize) -> &'t str) -> String {
        let filled = self
            .parts
            .iter()
            .map(|&(before, hole)| before.len() + text(hole).len());
        let mut whole = String::with_capacity(filled.sum::<usize>() + self.end.len());
        for &(before, hole) in &self.parts {
            whole.push_str(before);
            whole.push_str(text(hole));
        }
        whole.push_str(self.end);
        whole
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_once() {
        let template = Template::parse("b: {b} a: {a} b: {b}.", &["a", "b"]).unwrap();
        let cells = ["{b}", "two"];
        assert_eq!(template.fill(|text| cells[text]), "b: two a: {b} b: two.");
        let error = |template| {
            Template::parse(template, &["a", "b"])
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(
            error("x {c}"),
            "the source template `x {c}` names `c`; expected one of a, b"
        );
        assert_eq!(
            error("x {a"),
            "the source template `x {a` has a `{` without its `}`"
        );
    }
}
