//! Whether a finished run is the one that is wanted: the same configuration, and the same inputs by content.

use std::path::Path;

use toml::{Table, Value};

use super::FinishedRun;
use crate::{Fingerprinter, RunConfig, RunResult, TrainError};

/// Keys of paths. What lies there is compared by content, so that a run is the same from whichever directory its paths
/// are written.
const PATHS: [&[&str]; 7] = [
    &["model"],
    &["data"],
    &["prompt", "init", "path"],
    &["selection", "scores"],
    &["declared", "files", "train"],
    &["declared", "files", "dev"],
    &["declared", "files", "test"],
];

/// The result of a finished run in `directory`, if there is one; `None` if the directory does not exist.
///
/// # Errors
/// [`TrainError::OtherRun`] if the run is of another configuration or read something else than is there now; its
/// differences are named. [`TrainError::Output`] if the directory holds something else: runs are never overwritten.
/// Other errors if what the run reads is not there.
pub fn finished_run(
    directory: impl AsRef<Path>,
    config: &RunConfig,
    fingerprinter: &mut Fingerprinter,
) -> Result<Option<RunResult>, TrainError> {
    let directory = directory.as_ref();
    if !directory.exists() {
        return Ok(None);
    }
    let found = FinishedRun::read(directory)?;
    let refuse = |what, differences: Vec<String>| {
        if differences.is_empty() {
            return Ok(());
        }
        Err(TrainError::OtherRun {
            path: directory.to_path_buf(),
            what,
            differences,
        })
    };
    refuse("another configuration", differences(&found.config, config)?)?;
    let inputs = fingerprinter.of(config)?;
    refuse("other inputs", found.inputs()?.differences(&inputs))?;
    super::sweep::finished(directory);
    Ok(Some(found.result))
}

/// What differs between two configurations, but for paths.
pub(super) fn differences(there: &RunConfig, here: &RunConfig) -> Result<Vec<String>, TrainError> {
    let table = |config: &RunConfig| -> Result<Table, TrainError> {
        let mut table = Table::try_from(config).map_err(|error| TrainError::Value {
            key: "task",
            reason: format!("can't be compared: {error}"),
        })?;
        for path in PATHS {
            mask(&mut table, path);
        }
        // What people say of a run.
        table.remove("run");
        Ok(table)
    };
    let mut found = Vec::new();
    compare("", &table(there)?, &table(here)?, &mut found);
    Ok(found)
}

/// Make all paths at a dotted key equal.
fn mask(table: &mut Table, key: &[&str]) {
    match key {
        [last] => {
            if let Some(value) = table.get_mut(*last) {
                *value = Value::String("a path".into());
            }
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(table)) = table.get_mut(*first) {
                mask(table, rest);
            }
        }
        [] => {}
    }
}

fn compare(prefix: &str, there: &Table, here: &Table, found: &mut Vec<String>) {
    let mut keys: Vec<&String> = there.keys().chain(here.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let name = format!("{prefix}{key}");
        match (there.get(key), here.get(key)) {
            (ours, theirs) if ours == theirs => {}
            (Some(Value::Table(ours)), Some(Value::Table(theirs))) => {
                compare(&format!("{name}."), ours, theirs, found);
            }
            (ours, theirs) => {
                let show = |value: Option<&Value>| value.map_or("absent".into(), Value::to_string);
                let (there, here) = (show(ours), show(theirs));
                found.push(format!("`{name}` is {there} there and {here} here"));
            }
        }
    }
}
