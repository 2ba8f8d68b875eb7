//! Laying settings over settings, and paths that are relative to a file.

use std::path::{Component, Path, PathBuf};

use fpt_files::{BUILT_IN_MODEL, ModelId};
use toml::{Table, Value};

/// Keys and their other names.
pub(super) const ALIASES: [[&str; 2]; 1] = [["recompute", "checkpoint"]];

/// The path of a model, unless it is a name, that of the built-in one or `owner/name` or `owner/name@revision` on the hub,
/// and no such directory is there.
pub(super) fn join_model(base: &Path, model: &Path) -> PathBuf {
    let joined = join(base, model);
    let is_name =
        model == Path::new(BUILT_IN_MODEL) || ModelId::parse(&model.to_string_lossy()).is_ok();
    if is_name && !joined.exists() {
        model.to_path_buf()
    } else {
        joined
    }
}

/// `base/path` without needless `..`, as it is shown to people and written into adapters.
pub(super) fn join(base: &Path, path: &Path) -> PathBuf {
    let mut joined = PathBuf::new();
    for component in base.join(path).components() {
        let named = matches!(joined.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::ParentDir if named => _ = joined.pop(),
            Component::CurDir => {}
            other => joined.push(other),
        }
    }
    joined
}

/// `join` for the path at a dotted key of a table, where there is one.
pub(super) fn join_value(
    base: &Path,
    table: &mut Table,
    key: &[&str],
    join: fn(&Path, &Path) -> PathBuf,
) {
    match (key, table) {
        ([last], table) => {
            if let Some(Value::String(path)) = table.get_mut(*last) {
                *path = join(base, Path::new(path.as_str())).display().to_string();
            }
        }
        ([first, rest @ ..], table) => {
            if let Some(Value::Table(table)) = table.get_mut(*first) {
                join_value(base, table, rest, join);
            }
        }
        ([], _) => {}
    }
}

/// `key=value` as a table. A value that is no TOML is taken as a string, so that `--set model=path` needs no
/// quotes.
pub(super) fn parse_assignment(assignment: &str) -> Result<Table, String> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(format!(
            "`{assignment}` should be key=value, such as train.steps=50"
        ));
    };
    let key = key.trim();
    toml::from_str(&format!("{key} = {value}"))
        .or_else(|_| toml::from_str(&format!("{key} = {}", Value::from(value))))
        .map_err(|error: toml::de::Error| format!("`{assignment}`: {}", error.message()))
}

/// Lay `over` onto `base`: tables are merged, everything else is replaced.
pub(super) fn merge(base: &mut Table, over: &Table) {
    // A method and explicit stages exclude each other: the one that is set last wins.
    for (set, dropped) in [("method", "stages"), ("stages", "method")] {
        if over.contains_key(set) && !over.contains_key(dropped) {
            base.remove(dropped);
            // Its name was that of the other schedule.
            base.remove("name");
        }
    }
    // Likewise a key and its other name.
    for [a, b] in ALIASES {
        for (set, dropped) in [(a, b), (b, a)] {
            if over.contains_key(set) && !over.contains_key(dropped) {
                base.remove(dropped);
            }
        }
    }
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above))
                if key != "init" && key != "pad_to" =>
            {
                merge(below, above);
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
