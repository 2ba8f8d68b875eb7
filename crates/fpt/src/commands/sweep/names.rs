//! What the runs of a sweep are called.

use std::collections::BTreeMap;

use fpt_files::Fingerprint;
use fpt_tasks::TaskName;
use fpt_train::Combination;
use toml::Value;

/// The most characters that a value has in the name of a directory.
const LONGEST: usize = 40;

/// The settings that are swept, each called by as much of its key as tells it from the others.
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn of<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.collect();
        let short = |key: &str| {
            let ends = key.match_indices('.').map(|(dot, _)| &key[dot + 1..]);
            let mut ends: Vec<&str> = ends.chain([key]).collect();
            ends.sort_by_key(|end| end.len());
            let is_of =
                |end: &str, other: &str| other == end || other.ends_with(&format!(".{end}"));
            let unique = |end: &&str| keys.iter().filter(|other| is_of(end, other)).count() == 1;
            ends.into_iter().find(unique).unwrap_or(key).to_string()
        };
        Self(
            keys.iter()
                .map(|key| ((*key).to_string(), short(key)))
                .collect(),
        )
    }

    fn pairs<'a>(
        &'a self,
        combination: &'a Combination,
    ) -> impl Iterator<Item = (&'a str, String)> {
        combination.iter().map(|(key, value)| {
            let name = self.0.get(key).map_or(key.as_str(), String::as_str);
            (name, shown(value))
        })
    }

    /// A combination in tables: `learning_rate=0.01, method=pt`; "as it is" of no settings.
    pub(super) fn label(&self, combination: &Combination) -> String {
        let pairs = self.pairs(combination);
        let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        match &pairs[..] {
            [] => "as it is".into(),
            pairs => pairs.join(", "),
        }
    }

    /// The directory of a run: `mnli-learning_rate=0.01-method=pt-s0`.
    pub(super) fn directory(
        &self,
        task: &TaskName,
        combination: &Combination,
        seed: u64,
    ) -> String {
        let mut name = task.to_string();
        for (key, value) in self.pairs(combination) {
            name += &format!("-{key}={}", slug(&value));
        }
        format!("{name}-s{seed}")
    }
}

/// What `--set` sets, each.
pub(super) fn assignments(combination: &Combination) -> impl Iterator<Item = String> {
    combination
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
}

/// A text without its quotes, anything else as TOML has it.
fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), String::from)
}

/// A value in the name of a directory: `1/2` is `1of2`. What is lost of others is made up for by a part of their hash.
fn slug(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let of = value.replace('/', "of");
    if !of.is_empty() && of.len() <= LONGEST && of.chars().all(is_plain) {
        return of;
    }
    let hash = Fingerprint::new().text(value).hex();
    let words = value.split(|c: char| !is_plain(c));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let start: String = words.join("_").chars().take(LONGEST).collect();
    format!("{start}~{}", &hash[..6])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_what_tells_them_apart() {
        let combination: Combination = [
            ("train.batch_size", Value::Integer(8)),
            ("eval.batch_size", Value::Integer(9)),
            ("train.learning_rate", Value::Float(0.01)),
            ("schedule.method", Value::String("ld-1/4".into())),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
        let names = Names::of(combination.keys().map(String::as_str));
        assert_eq!(
            names.label(&combination),
            "eval.batch_size=9, method=ld-1/4, train.batch_size=8, learning_rate=0.01"
        );
        assert_eq!(
            names.directory(&TaskName::MNLI, &combination, 3),
            "mnli-eval.batch_size=9-method=ld-1of4-train.batch_size=8-learning_rate=0.01-s3"
        );
        let settings: Vec<_> = assignments(&combination).collect();
        assert!(
            settings.contains(&"schedule.method=\"ld-1/4\"".to_string()),
            "{settings:?}"
        );

        let none = Combination::new();
        let names = Names::of(std::iter::empty());
        assert_eq!(names.directory(&TaskName::MNLI, &none, 1), "mnli-s1");
    }

    #[test]
    fn what_no_directory_can_be_called_keeps_its_own_name() {
        let slugs = [
            "a b",
            "a_b",
            "a\"b",
            "",
            "..",
            &"x".repeat(50),
            &"x".repeat(51),
        ]
        .map(slug);
        for (place, slug) in slugs.iter().enumerate() {
            assert!(!slugs[..place].contains(slug), "{slug}");
            assert!(
                slug.len() <= LONGEST + 7 && !slug.contains([' ', '/', '"']),
                "{slug}"
            );
        }
        assert_eq!(slugs[1], "a_b");
    }
}
