//! Commands as a shell takes them.

/// The command that this program was started by; `called` is what it is called there.
pub fn own_command(called: &str) -> String {
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| quoted(&argument.to_string_lossy()));
    let words = std::iter::once(called.to_string());
    words.chain(arguments).collect::<Vec<_>>().join(" ")
}

/// A word that a shell takes as it is.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_as_they_are() {
        for (word, expected) in [
            ("--steps", "--steps"),
            ("train.steps=3", "train.steps=3"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's; $HOME", r"'it'\''s; $HOME'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
