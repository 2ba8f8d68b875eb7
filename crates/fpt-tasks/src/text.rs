//! Text helpers that follow Python's conventions, since the reference metrics are Python programs.

/// Splits at whitespace as Python's `str.split()` does: Unicode whitespace and the four ASCII
/// separators U+001C..U+001F, which Rust does not count.
pub(crate) fn split_whitespace(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))
        .filter(|word| !word.is_empty())
}

/// How often `word` occurs in `text` as a whole word, without overlap.
pub(crate) fn count_word(text: &str, word: &str) -> usize {
    text.match_indices(word)
        .filter(|&(start, found)| {
            let before = text[..start].chars().next_back();
            let after = text[start + found.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
        .count()
}

/// The distinct items of `items`, in order of first appearance.
pub(crate) fn distinct<'a>(items: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(*item))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_whole() {
        assert_eq!(count_word("Ann met Anna. Ann's dog likes Ann", "Ann"), 3);
        assert_eq!(count_word("née née", "née"), 2);
    }

    #[test]
    fn whitespace_is_pythons() {
        let words: Vec<_> = split_whitespace(" a\u{1f}b\u{a0}c\u{200b} ").collect();
        assert_eq!(words, ["a", "b", "c\u{200b}"]);
    }
}
