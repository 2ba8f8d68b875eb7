//! Text from data as markup, and the elements that figures share.

use std::fmt::Display;

/// Text as it may stand in an element or a quoted attribute.
///
/// Control characters are not allowed in XML, not even escaped, so they become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(printable(other)),
        }
    }
    escaped
}

/// [`escape`] of a text of several lines.
pub(crate) fn escape_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    lines.join("\n")
}

/// What XML does not allow becomes U+FFFD; for text that someone else escapes.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(printable).collect()
}

fn printable(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => '\u{FFFD}',
        c => c,
    }
}

/// Paragraphs are separated by blank lines; `backticks` set code.
pub(crate) fn paragraphs(text: &str) -> String {
    text.replace("\r\n", "\n")
        .split("\n\n")
        .map(str::trim)
        .filter(|paragraph| !paragraph.is_empty())
        .map(|paragraph| format!("<p>{}</p>\n", inline(paragraph)))
        .collect()
}

/// Escaped text, with `backticks` for code.
pub(crate) fn inline(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return escape(text); // a backtick without a partner is only a backtick
    }
    pieces
        .iter()
        .enumerate()
        .map(|(index, piece)| match index % 2 {
            0 => escape(piece),
            _ => format!("<code>{}</code>", escape(piece)),
        })
        .collect()
}

/// An attribute with a leading space, or nothing.
pub(crate) fn attribute(name: &str, value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| {
        format!(" {name}=\"{}\"", escape(&value.to_string()))
    })
}

/// The link if it leads to a page, a file or an anchor: one from data must not run a script.
pub(crate) fn safe_link(href: &str) -> Option<&str> {
    let before_path = href.split(['/', '?', '#']).next().unwrap_or_default();
    let scheme = before_path.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        None => Some(href),
        Some(s) if ["http", "https", "file", "mailto"].contains(&s.to_lowercase().as_str()) => {
            Some(href)
        }
        Some(_) => None,
    }
}

/// A figure of a kind that the style sheet knows: caption above, contents below.
pub(crate) fn figure(kind: &str, caption: &str, contents: &str) -> String {
    format!(
        "<figure class=\"{kind}\">\n<figcaption>{}</figcaption>\n{contents}</figure>\n",
        inline(caption)
    )
}

/// A wide table scrolls by itself, not the page; the tab stop lets the keyboard scroll it.
pub(crate) fn scrolling(label: &str, contents: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{contents}</div>\n",
        escape(label)
    )
}
