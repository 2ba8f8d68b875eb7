//! Tables of texts as Markdown: what stands in a cell is never a column or markup.

use std::fmt;
use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::html::clean;

/// A table that is displayed as Markdown, and can be read as it is.
#[derive(Debug)]
pub struct MarkdownTable(Table);

impl MarkdownTable {
    /// A table with these names of columns, and no row.
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_header(header.into_iter().map(|name| markdown_cell(name.as_ref())));
        Self(table)
    }

    /// Add a row.
    pub fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(|cell| markdown_cell(cell.as_ref()));
        self.0.add_row(cells);
    }

    /// Align these columns to the right, as numbers are.
    #[must_use]
    pub fn with_numbers_in(mut self, columns: Range<usize>) -> Self {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// For reading in lines of at most `width` columns: what is longer goes on in the line below, within its cell. No
    /// longer Markdown then, unless everything fits.
    #[must_use]
    pub fn within(mut self, width: u16) -> Self {
        self.0
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        self
    }
}

impl fmt::Display for MarkdownTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A cell: one line, and neither columns nor markup in it.
fn markdown_cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in clean(text).chars() {
        if matches!(character, '\\' | '|' | '`' | '*' | '[' | '<') {
            cell.push('\\');
        }
        cell.push(character);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_markup() {
        for (text, expected) in [
            ("LD 1/4", "LD 1/4"),
            ("+6.00 ± 0.50", "+6.00 ± 0.50"),
            ("exact_match", "exact_match"),
            ("a|b\\|c", r"a\|b\\\|c"),
            ("two\r\nlines", "two  lines"),
            ("`rm` <b> [a](b) *c*", r"\`rm\` \<b> \[a](b) \*c\*"),
            ("\u{1b}[31m", "\u{fffd}\\[31m"),
        ] {
            assert_eq!(markdown_cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn wide_tables_go_on_in_the_line_below() {
        let table = || {
            let mut table = MarkdownTable::new(["method", "stages"]);
            table.add_row(["PT", "30 x 24/24 2816/2816"]);
            table
        };
        let whole = table().to_string();
        assert_eq!(table().within(120).to_string(), whole);
        assert_eq!(
            table().within(24).to_string(),
            "| method | stages      |\n|--------|-------------|\n| PT     | 30 x 24/24  |\n|        | 2816/2816   |"
        );
    }

    #[test]
    fn names_do_not_add_columns() {
        let mut table = MarkdownTable::new(["a|b", "n"]);
        table.add_row(["c|d", "1"]);
        table.add_row(["e", "10"]);
        let text = table.with_numbers_in(1..9).to_string();
        assert_eq!(
            text,
            "| a\\|b |  n |\n|------|----|\n| c\\|d |  1 |\n| e    | 10 |"
        );
    }
}
