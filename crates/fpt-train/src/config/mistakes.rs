//! All that is wrong with a configuration, not only the first, in words of the file.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, Deserializer, Error};
use toml::{Spanned, Table};

use super::merge::ALIASES;

/// So many mistakes are named; more are no help.
const MOST: usize = 20;
/// How alike two keys must be for one to be a slip of the other.
const ALIKE: f64 = 0.75;

/// What Rust calls things, and what people do. The longer ones first.
const WORDS: [(&str, &str); 16] = [
    ("a nonzero usize", "a whole number above 0"),
    ("usize", "a whole number"),
    ("u64", "a whole number"),
    ("u32", "a whole number"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("f32", "a number"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
    ("string or table", "a text or a table"),
    ("a borrowed string", "a text"),
    ("path string", "a path"),
    ("a string", "a text"),
    ("a map", "a table"),
    ("floating point ", "number "),
    ("sequence", "list"),
];

/// Something wrong, where it stands, and what would be right.
struct Mistake {
    line: Option<usize>,
    /// Dotted; empty where it is of the whole.
    key: String,
    reason: String,
}

/// Reads a configuration.
///
/// # Errors
/// All mistakes, a line each: `line 7, train.stepz: …`.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let line_of = |span: Option<Range<usize>>| {
        let before = text.get(..span?.start)?;
        Some(before.matches('\n').count() + 1)
    };
    // What follows a slip of the pen is no mistake of its own; the line is shown.
    if let Some(mut error) = errors.into_iter().next() {
        error.set_input(Some(text));
        return Err(error.to_string());
    }
    let mut mistakes = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    loop {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) if mistakes.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let found = error.span().and_then(|span| remove(table.get_mut(), &span));
        let missing = missing_field(error.message());
        let key = match (&found, missing) {
            // What lacks a key is its table, which stands where the table does.
            (None, Some(field)) => field.to_owned(),
            (Some(path), Some(field)) => format!("{path}.{field}"),
            (Some(path), None) => path.clone(),
            (None, None) => String::new(),
        };
        // What was taken out for being wrong is missing now.
        if missing.is_none() || !removed.contains(&key) {
            mistakes.push(Mistake {
                line: line_of(error.span()).filter(|_| found.is_some()),
                reason: humane(error.message()),
                key,
            });
        }
        match found {
            Some(path) if mistakes.len() < MOST => removed.push(path),
            _ => break,
        }
    }
    Err(describe(mistakes))
}

/// Reads settings that were put together from several places.
///
/// # Errors
/// What does not fit, in words of the configuration.
pub(super) fn fit<T: DeserializeOwned>(table: Table) -> Result<T, String> {
    table
        .try_into()
        .map_err(|error: Error| humane(error.message()))
}

fn describe(mut mistakes: Vec<Mistake>) -> String {
    mistakes.sort_by_key(|mistake| mistake.line);
    let one = |Mistake { line, key, reason }: &Mistake| {
        let line = line.map(|line| format!("line {line}"));
        let key = Some(format!("`{key}`")).filter(|key| key.len() > 2);
        let place: Vec<_> = line.into_iter().chain(key).collect();
        if place.is_empty() {
            reason.clone()
        } else {
            format!("{}: {reason}", place.join(", "))
        }
    };
    let lines: Vec<_> = mistakes.iter().map(one).collect();
    match &lines[..] {
        [only] => only.clone(),
        lines => format!("{} mistakes\n  {}", lines.len(), lines.join("\n  ")),
    }
}

/// Takes what stands at `span`, a key or a value, out of a table. Returns its dotted key.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let at = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        key.span() == *span || value.span() == *span
    };
    let here = table.iter().find(|(key, value)| at(key, value));
    if let Some((key, _)) = here {
        let key = key.clone();
        table.remove(&key);
        return Some(key.get_ref().to_string());
    }
    for (key, value) in table.iter_mut() {
        let inside = match value.get_mut() {
            DeValue::Table(inner) => remove(inner, span),
            DeValue::Array(items) => items.iter_mut().enumerate().find_map(|(place, item)| {
                let DeValue::Table(inner) = item.get_mut() else {
                    return None;
                };
                Some(format!("{place}.{}", remove(inner, span)?))
            }),
            _ => None,
        };
        if let Some(inside) = inside {
            return Some(format!("{}.{inside}", key.get_ref()));
        }
    }
    None
}

fn missing_field(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("missing field `")?;
    rest.split('`').next()
}

/// A message of serde in words of the file, with a guess at what was meant.
fn humane(message: &str) -> String {
    for (unknown, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some(rest) = message.strip_prefix(unknown) else {
            continue;
        };
        let mut quoted = rest.split('`');
        let name = quoted.next().unwrap_or_default();
        // Every second part is between quotes.
        let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
        let guess = known
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known), *known))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(alike, _)| *alike > ALIKE)
            .map_or_else(String::new, |(_, known)| {
                format!("; did you mean `{known}`?")
            });
        if known.is_empty() {
            return format!("unknown {what} `{name}`");
        }
        let known = known.join(", ");
        return format!("unknown {what} `{name}`{guess} (there are: {known})");
    }
    if let Some(field) = missing_field(message) {
        return format!("`{field}` is missing");
    }
    // A key that stands twice is no TOML: one of two names is meant.
    let twice = ALIASES
        .iter()
        .find(|[key, _]| message == format!("duplicate field `{key}`"));
    if let Some([key, alias]) = twice {
        return format!("`{key}` and `{alias}` are two names of the same: leave one of them out");
    }
    let is = |kind: &str| message.strip_prefix(kind).map(str::to_owned);
    let told = is("invalid type: ").or_else(|| is("invalid value: "));
    let Some(told) = told else {
        return message.to_owned();
    };
    let (found, expected) = told.split_once(", expected ").unwrap_or((&told, ""));
    let mut expected = match expected {
        name if name.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    };
    for (word, with) in WORDS {
        if expected == word || expected.starts_with(word) {
            expected = expected.replacen(word, with, 1);
            break;
        }
    }
    let found = found
        .replace("floating point", "number")
        .replace("sequence", "a list")
        .replace("map", "a table");
    format!("is {found}, but must be {expected}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Experiment;

    fn mistakes(text: &str) -> String {
        read::<Experiment>(text).unwrap_err()
    }

    #[test]
    fn all_mistakes_are_told_with_line_and_guess() {
        let text = "model = \"m\"\ndata = 3\ntasks = [\"mnli\"]\n\n[train]\nstepz = 5\nbatch_size = \"many\"\n\
                    schedule = \"linar\"\n\n[[schedule.stages]]\nlayer = \"1/2\"\n\n[prompt]\ninit = \"text\"\n\n[evall]\nx = 1\n";
        let told = mistakes(text);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 8, "{told}");
        assert_eq!(lines[0], "7 mistakes");
        for (line, parts) in [
            (1, ["line 2, `data`", "is integer `3`, but must be a path"]),
            (
                2,
                [
                    "line 6, `train.stepz`: unknown key `stepz`",
                    "did you mean `steps`?",
                ],
            ),
            (
                3,
                [
                    "line 7, `train.batch_size`",
                    "is string \"many\", but must be a whole number",
                ],
            ),
            (4, ["line 8, `train.schedule`", "did you mean `linear`?"]),
            (
                5,
                [
                    "line 11, `schedule.stages.0.layer`",
                    "did you mean `layers`?",
                ],
            ),
            (
                6,
                [
                    "line 14, `prompt.init`",
                    "{ kind = \"text\", text = \"…\" }",
                ],
            ),
            (7, ["line 16, `evall`", "did you mean `eval`?"]),
        ] {
            for part in parts {
                assert!(lines[line].contains(part), "{part}: {}", lines[line]);
            }
        }
        // No name of Rust's.
        for name in ["usize", "struct", "enum", "PromptInit", "variant"] {
            assert!(!told.contains(name), "{name}: {told}");
        }
    }

    #[test]
    fn one_mistake_is_a_line() {
        assert_eq!(
            mistakes("tasks = [\"mnli\"]\n"),
            "`model`: `model` is missing"
        );
        let told = mistakes("model = \"m\"\ntasks = [\"mnli\"]\n[train\n");
        assert!(
            told.contains("line 3") && told.contains("3 | [train"),
            "{told}"
        );
        // A wrong value is not also a missing one.
        let told = mistakes("model = 3\ntasks = [\"mnli\"]\n");
        assert_eq!(told, "line 1, `model`: is integer `3`, but must be a path");
        assert!(read::<Experiment>("model = \"m\"\ntasks = [\"mnli\"]\n").is_ok());
    }
}
