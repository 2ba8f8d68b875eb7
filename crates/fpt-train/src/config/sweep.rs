//! The grid of settings that an experiment file declares.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::merge::{join, join_value};

/// The most combinations of a grid: beyond that somebody has mistaken themselves.
const MOST_COMBINATIONS: usize = 10_000;

/// What can't be swept, and why; nor what is below it.
const REFUSED: [(&str, &str); 4] = [
    ("task", "tasks are those of the experiment"),
    ("model", "runs of different models can't be compared"),
    ("data", "runs on different data can't be compared"),
    (
        "schedule.name",
        "the runs of a sweep are called by their settings",
    ),
];

/// `[sweep]`: lists of values, by dotted key. Every combination is a run, of each task and each `seed`.
///
/// ```toml
/// [sweep]
/// "train.learning_rate" = [0.01, 0.02]
/// "schedule.method" = ["pt", "fpt-ld"]
/// seed = [0, 1]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct SweepConfig {
    seeds: Vec<u64>,
    settings: BTreeMap<String, Vec<Value>>,
}

/// A value of each setting that is swept, by dotted key.
pub type Combination = BTreeMap<String, Value>;

impl SweepConfig {
    /// Whether nothing is swept.
    pub fn is_empty(&self) -> bool {
        self.seeds.is_empty() && self.settings.is_empty()
    }

    /// The seeds; 0 where none are given.
    pub fn seeds(&self) -> &[u64] {
        match &self.seeds[..] {
            [] => &[0],
            seeds => seeds,
        }
    }

    /// The keys of the settings that are swept, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    /// All combinations; of no settings there is one, which is empty. The last key changes fastest.
    pub fn combinations(&self) -> Vec<Combination> {
        let mut all = vec![Combination::new()];
        for (key, values) in &self.settings {
            let longer = |before: &Combination| {
                let before = before.clone();
                values.iter().map(move |value| {
                    let mut combination = before.clone();
                    combination.insert(key.clone(), value.clone());
                    combination
                })
            };
            all = all.iter().flat_map(longer).collect();
        }
        all
    }

    /// Let paths be relative to `base`.
    pub(super) fn join(&mut self, base: &Path) {
        for (key, values) in &mut self.settings {
            for value in values {
                let mut table = nested(key, value.clone());
                for path in [&["selection", "scores"][..], &["prompt", "init", "path"]] {
                    join_value(base, &mut table, path, join);
                }
                if let Some(joined) = at(&table, key) {
                    *value = joined.clone();
                }
            }
        }
    }
}

/// A table with one value at a dotted key.
fn nested(key: &str, value: Value) -> Table {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = if rest.is_empty() {
        value
    } else {
        Value::Table(nested(rest, value))
    };
    Table::from_iter([(first.to_string(), value)])
}

/// The value at a dotted key.
fn at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((first, rest)) => at(table.get(first)?.as_table()?, rest),
        None => table.get(key),
    }
}

impl TryFrom<Table> for SweepConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let mut lists = BTreeMap::new();
        flatten("", table, &mut lists)?;
        let mut sweep = Self::default();
        for (key, values) in lists {
            let fail = |reason: String| Err(format!("[sweep] `{key}` {reason}"));
            let below = |name: &str| key == name || key.starts_with(&format!("{name}."));
            if let Some((_, why)) = REFUSED.iter().find(|(name, _)| below(name)) {
                return fail(format!("can't be swept: {why}"));
            }
            if values.is_empty() {
                return fail("is an empty list".into());
            }
            let mut pairs = values.iter().enumerate();
            if let Some((_, twice)) = pairs.find(|(place, it)| values[..*place].contains(it)) {
                return fail(format!("has {twice} twice"));
            }
            if key == "seed" {
                let seed = |value: &Value| value.as_integer().and_then(|it| u64::try_from(it).ok());
                match values.iter().map(seed).collect() {
                    Some(seeds) => sweep.seeds = seeds,
                    None => return fail("must be a list of numbers from 0 on".into()),
                }
            } else {
                sweep.settings.insert(key, values);
            }
        }
        let has = |key: &str| sweep.settings.contains_key(key);
        if has("schedule.method") && has("schedule.stages") {
            return Err(
                "[sweep] `schedule.method` and `schedule.stages` exclude each other".into(),
            );
        }
        let lengths = sweep.settings.values().map(Vec::len);
        let count = lengths.fold(sweep.seeds().len(), usize::saturating_mul);
        if count > MOST_COMBINATIONS {
            return Err(format!(
                "[sweep] has {count} combinations, but may have at most {MOST_COMBINATIONS}"
            ));
        }
        Ok(sweep)
    }
}

/// The lists of a table by their dotted keys, which may be written as one or as tables in tables.
fn flatten(
    prefix: &str,
    table: Table,
    lists: &mut BTreeMap<String, Vec<Value>>,
) -> Result<(), String> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Array(values) => {
                if lists.insert(key.clone(), values).is_some() {
                    return Err(format!("[sweep] `{key}` is there twice"));
                }
            }
            Value::Table(table) => flatten(&format!("{key}."), table, lists)?,
            other => {
                return Err(format!(
                    "[sweep] `{key}` is {other}, but must be a list of values, such as [{other}]"
                ));
            }
        }
    }
    Ok(())
}

impl From<SweepConfig> for Table {
    fn from(sweep: SweepConfig) -> Self {
        let mut table: Self = sweep
            .settings
            .into_iter()
            .map(|(key, values)| (key, Value::Array(values)))
            .collect();
        // Seeds came out of integers of TOML.
        let seed = |seed: &u64| Value::Integer(i64::try_from(*seed).unwrap_or(i64::MAX));
        if !sweep.seeds.is_empty() {
            let seeds = sweep.seeds.iter().map(seed).collect();
            table.insert("seed".into(), Value::Array(seeds));
        }
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Result<SweepConfig, String> {
        SweepConfig::try_from(text.parse::<Table>().unwrap())
    }

    #[test]
    fn every_combination_is_there_once() {
        let text = "\"train.learning_rate\" = [0.01, 0.02]\nschedule.method = [\"pt\", \"fpt-ld\"]\nseed = [0, 1]";
        let found = sweep(text).unwrap();
        assert_eq!(found.seeds(), [0, 1]);
        let keys: Vec<_> = found.keys().collect();
        assert_eq!(keys, ["schedule.method", "train.learning_rate"]);
        let combinations = found.combinations();
        assert_eq!(combinations.len(), 4);
        assert_eq!(combinations[1]["schedule.method"].as_str(), Some("pt"));
        assert_eq!(
            combinations[1]["train.learning_rate"].as_float(),
            Some(0.02)
        );
        assert_eq!(
            SweepConfig::try_from(Table::from(found.clone())).unwrap(),
            found
        );

        let none = sweep("").unwrap();
        assert!(none.is_empty());
        assert_eq!((none.seeds().len(), none.combinations().len()), (1, 1));
    }

    #[test]
    fn what_is_no_grid_is_named() {
        for (text, reason) in [
            ("train.steps = 3", "`train.steps` is 3, but must be a list"),
            ("train.steps = []", "`train.steps` is an empty list"),
            ("train.steps = [3, 4, 3]", "`train.steps` has 3 twice"),
            ("seed = [-1]", "`seed` must be a list of numbers from 0 on"),
            ("task = [\"mnli\"]", "`task` can't be swept"),
            ("model = [\"a\"]", "runs of different models"),
            ("schedule.name = [\"a\"]", "called by their settings"),
            (
                "schedule.method = [\"pt\"]\nschedule.stages = [[]]",
                "exclude each other",
            ),
            (
                "\"train.steps\" = [3]\n[train]\nsteps = [4]",
                "`train.steps` is there twice",
            ),
        ] {
            let error = sweep(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let many: Vec<_> = (0..200).collect();
        let error = sweep(&format!("a = {many:?}\nb = {many:?}")).unwrap_err();
        assert!(error.contains("40000 combinations"), "{error}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text =
            "\"selection.scores\" = [\"a\"]\nprompt.init = [{ kind = \"adapter\", path = \"b\" }]";
        let mut found = sweep(text).unwrap();
        found.join(Path::new("there"));
        let combination = &found.combinations()[0];
        assert_eq!(combination["selection.scores"].as_str(), Some("there/a"));
        assert_eq!(combination["prompt.init"]["path"].as_str(), Some("there/b"));
    }
}
