//! Tables.

use super::markup::{attribute, escape, figure, inline, safe_link, scrolling};
use crate::ReportError;

/// A table; the first cell of a row names the row.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableView {
    /// What the table shows, with the units.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// What stands in the cell.
    pub text: String,
    /// A second, smaller line, such as the figure to compare with; a page may show it only where it is asked for.
    pub note: Option<String>,
    /// Tooltip, such as the runs that the number came from.
    pub title: Option<String>,
    /// Where the text links to; only pages, files and anchors are linked.
    pub href: Option<String>,
    /// Set in bold.
    pub emphasis: bool,
    /// Aligned to the right, with digits of equal width.
    pub numeric: bool,
    /// Long text, in lines.
    pub long: bool,
}

impl Cell {
    /// A cell of text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A cell that holds a number.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self {
            numeric: true,
            ..Self::text(text)
        }
    }

    /// A cell of long text.
    pub(crate) fn long(text: impl Into<String>) -> Self {
        Self {
            long: true,
            ..Self::text(text)
        }
    }

    /// With a second, smaller line.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With a tooltip.
    pub(crate) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// With a link.
    pub(crate) fn href(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }

    /// In bold if `emphasis`.
    pub(crate) fn emphasis(mut self, emphasis: bool) -> Self {
        self.emphasis = emphasis;
        self
    }

    fn class(&self) -> Option<&'static str> {
        let number = self.numeric.then_some("number");
        number.or(self.long.then_some("long"))
    }

    /// What stands in the cell, as markup.
    pub(super) fn content(&self) -> String {
        let mut text = escape(&self.text);
        if self.emphasis {
            text = format!("<strong>{text}</strong>");
        }
        if let Some(href) = self.href.as_deref().and_then(safe_link) {
            text = format!("<a href=\"{}\">{text}</a>", escape(href));
        }
        if let Some(note) = &self.note {
            text += &format!("<small class=\"note\">{}</small>", escape(note));
        }
        text
    }

    fn to_html(&self, names_row: bool) -> String {
        let text = self.content();
        let tag = if names_row { "th" } else { "td" };
        format!(
            "<{tag}{}{}{}>{text}</{tag}>",
            attribute("scope", names_row.then_some("row")),
            attribute("class", self.class()),
            attribute("title", self.title.as_deref()),
        )
    }
}

impl TableView {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        for (index, row) in self.rows.iter().enumerate() {
            if row.len() != self.header.len() {
                return Err(ReportError::Uneven {
                    what: format!("table {:?}", self.caption),
                    reason: format!(
                        "row {} has {} cells, but the header has {}",
                        index + 1,
                        row.len(),
                        self.header.len()
                    ),
                });
            }
        }
        let header: String = (0..self.header.len())
            .map(|c| self.column_name(c))
            .collect();
        let rows: String = self
            .rows
            .iter()
            .map(|row| {
                let cells: String = row
                    .iter()
                    .enumerate()
                    .map(|(column, cell)| cell.to_html(column == 0))
                    .collect();
                format!("<tr>{cells}</tr>\n")
            })
            .collect();
        let table = if self.rows.is_empty() {
            "<p class=\"empty\">no rows</p>\n".to_owned()
        } else {
            format!(
                "<table>\n<thead>\n<tr>{header}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
            )
        };
        Ok(figure(
            "table",
            &self.caption,
            &scrolling(&self.caption, &table),
        ))
    }

    fn column_name(&self, column: usize) -> String {
        let numeric = self.rows.iter().all(|row| row[column].numeric);
        format!(
            "<th scope=\"col\"{}>{}</th>",
            attribute("class", numeric.then_some("number")),
            inline(&self.header[column])
        )
    }
}
