//! Commands as a shell takes them.

/// Options that say by what runs are executed, of which nothing comes out otherwise; and whether a value follows.
const OF_EXECUTION: [(&str, bool); 6] = [
    ("--on", true),
    ("--slurm", true),
    ("--program", true),
    ("--wait", false),
    ("--in-job", false),
    ("--status", false),
];

/// The command that this program was started by; `called` is what it is called there. What only says by what runs are
/// executed is left out.
pub fn own_command(called: &str) -> String {
    command(called, &own_arguments())
}

/// The arguments of this program.
pub fn own_arguments() -> Vec<String> {
    let arguments = std::env::args_os().skip(1);
    arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

fn command(called: &str, arguments: &[String]) -> String {
    let mut words = vec![called.to_string()];
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, has_value) = match argument.split_once('=') {
            Some((name, _)) => (name, true),
            None => (argument.as_str(), false),
        };
        match OF_EXECUTION.iter().find(|(option, _)| *option == name) {
            Some((_, true)) if !has_value => _ = arguments.next(),
            Some(_) => {}
            None => words.push(quoted(argument)),
        }
    }
    words.join(" ")
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
    fn a_command_is_the_same_whatever_executes_its_runs() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(Into::into).collect() };
        let on_slurm = "reproduce a.toml --on slurm --slurm time=4h --slurm=mem=2G --seeds 2 --wait --program /fpt --in-job";
        for text in [
            on_slurm,
            "reproduce a.toml --on=slurm --seeds 2",
            "reproduce a.toml --seeds 2",
        ] {
            assert_eq!(
                command("fpt", &words(text)),
                "fpt reproduce a.toml --seeds 2"
            );
        }
    }

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
