//! Text from runs as a field of CSV and as a cell of Markdown: what stands in it is never a formula, a column or markup.

use crate::html::clean;

/// A field of RFC 4180, quoted where it has to be. Text that spreadsheets would compute gets a `'` before it, which they
/// take for the sign of a text; numbers stay numbers.
pub(super) fn csv_field(text: &str) -> String {
    let begins_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let is_formula = begins_formula && text.parse::<f64>().is_err();
    let field = format!("{}{text}", if is_formula { "'" } else { "" });
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// A cell of a Markdown table: one line, and neither columns nor markup in it.
pub(super) fn markdown_cell(text: &str) -> String {
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
    fn fields_are_no_formulas() {
        for (text, expected) in [
            ("-0.5", "-0.5"),
            ("+1e-3", "+1e-3"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-0.5+1", "'-0.5+1"),
            ("@SUM(A1,A2)", "\"'@SUM(A1,A2)\""),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("runs/=1", "runs/=1"),
            ("", ""),
        ] {
            assert_eq!(csv_field(text), expected, "{text:?}");
        }
    }

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
}
