//! Texts as fields of CSV, which are never formulas.

/// A line of RFC 4180 with its end. A text that spreadsheets would compute has a `'` before it.
pub fn csv_line<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> String {
    let fields = fields.into_iter().map(|field| csv_field(field.as_ref()));
    fields.collect::<Vec<_>>().join(",") + "\n"
}

/// A field of RFC 4180, quoted where it has to be. Text that spreadsheets would compute gets a `'` before it, which they
/// take for the sign of a text; numbers stay numbers.
fn csv_field(text: &str) -> String {
    let begins_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let is_formula = begins_formula && text.parse::<f64>().is_err();
    let field = format!("{}{text}", if is_formula { "'" } else { "" });
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
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
    fn a_line_has_all_fields() {
        assert_eq!(csv_line(["a,b", "", "=1"]), "\"a,b\",,'=1\n");
    }
}
