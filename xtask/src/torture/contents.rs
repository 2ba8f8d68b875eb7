//! What a run came to, without what time and machine have to do with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// Files of a finished run that may stay where they can't be removed: the next command removes them.
const LEFT_OVER: [&str; 2] = ["lock", "checkpoints"];

/// All files and directories below a directory by their names, without what time and machine have to do with.
#[derive(Default)]
pub(super) struct Contents(BTreeMap<PathBuf, Vec<u8>>);

impl Contents {
    /// What lies below `directory`. The cache is left out, and what follows from other files or tells of times.
    pub(super) fn of(directory: &Path) -> anyhow::Result<Self> {
        let mut found = BTreeMap::new();
        let mut open = vec![directory.to_path_buf()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next)? {
                let path = entry?.path();
                let name = path.strip_prefix(directory)?.to_path_buf();
                if path.is_dir() {
                    if name != Path::new("cache") {
                        open.push(path);
                        found.insert(name, Vec::new());
                    }
                    continue;
                }
                let bytes = fs::read(&path)?;
                let file = name.file_name().unwrap_or_default().to_string_lossy();
                let content = compared(&file, bytes)
                    .with_context(|| format!("{} is damaged", name.display()))?;
                found.insert(name, content);
            }
        }
        Ok(Self(found))
    }

    /// As [`Contents::of`], without what a finished run may be unable to remove.
    pub(super) fn without_left_overs(mut self) -> Self {
        self.0.retain(|name, _| {
            let mut parts = name.iter();
            !parts.any(|part| LEFT_OVER.iter().any(|left_over| part == *left_over))
        });
        self
    }

    /// As [`Contents::of`], without a directory.
    pub(super) fn without(mut self, directory: &str) -> Self {
        self.0.retain(|name, _| !name.starts_with(directory));
        self
    }

    /// What of `found` is otherwise, a phrase each.
    pub(super) fn differences(&self, found: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(found.0.keys()).collect();
        let differing = names
            .into_iter()
            .filter(|name| self.0.get(*name) != found.0.get(*name));
        differing
            .map(|name| match (self.0.get(name), found.0.get(name)) {
                (None, _) => format!("{} should not be there", name.display()),
                (_, None) => format!("{} is missing", name.display()),
                _ => format!("{} differs", name.display()),
            })
            .collect()
    }
}

/// What is compared of a file.
fn compared(name: &str, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    match name {
        "result.json" => timeless(&bytes),
        comparison if comparison.starts_with("similarity-") => timeless(&bytes),
        "metrics.jsonl" => {
            let lines = bytes
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.is_empty());
            let lines = lines.map(timeless).collect::<anyhow::Result<Vec<_>>>()?;
            Ok(lines.concat())
        }
        // They follow from the others, or tell how a program was called.
        "events.out.tfevents.fpt"
        | "command.txt"
        | "report.md"
        | "results.json"
        | "results.csv"
        | "SHA256SUMS" => Ok(Vec::new()),
        page if page.ends_with(".html") => Ok(Vec::new()),
        _ => Ok(bytes),
    }
}

/// The `results.json` of a report without what time and machine have to do with.
pub(super) fn report(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    without(json, &["peak_memory_mb", "wall_percent", "origin"])
}

/// JSON without seconds, memory and the paths of runs.
fn timeless(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    without(json, &["peak_memory", "runs"])
}

/// JSON without seconds and without these keys.
fn without(json: &[u8], keys: &[&str]) -> anyhow::Result<Vec<u8>> {
    fn strip(value: &mut Value, keys: &[&str]) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| !key.contains("seconds") && !keys.contains(&key.as_str()));
                map.values_mut().for_each(|value| strip(value, keys));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| strip(value, keys)),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_slice(json)?;
    strip(&mut value, keys);
    Ok(value.to_string().into_bytes())
}

/// How far the runs in and beside the directory `out` are, in a few words: the furthest thing that each has written.
pub(super) fn progress(out: &Path) -> String {
    let partial = |directory: &Path| {
        let mut name = directory.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        directory.with_file_name(name)
    };
    if out.join("index.html").is_file() {
        return "with a report".into();
    }
    if out.join("result.json").is_file() {
        return "finished".into();
    }
    if partial(out).is_dir() {
        return of_run(&partial(out));
    }
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let mut runs: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !path.ends_with("cache") && !path.ends_with("pages"))
        .map(|run| of_run(&run))
        .collect();
    runs.sort();
    if runs.is_empty() {
        "before anything".into()
    } else {
        runs.join(", ")
    }
}

fn of_run(run: &Path) -> String {
    if run.extension() != Some("partial".as_ref()) && run.join("result.json").is_file() {
        return "finished".into();
    }
    for (file, what) in [
        ("SHA256SUMS", "naming"),
        ("result.json", "digests"),
        ("adapter", "predictions"),
    ] {
        if run.join(file).exists() {
            return what.into();
        }
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let last = metrics.lines().rev().find_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        let (kind, step) = (record["event"].as_str()?, record["step"].as_u64()?);
        Some(format!("after {kind} {step}"))
    });
    last.unwrap_or_else(|| "loading".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn run(place: &Path, seconds: f64) -> PathBuf {
        let run = place.join(format!("run-{seconds}"));
        fs::create_dir_all(run.join("adapter")).unwrap();
        fs::create_dir_all(run.join("cache")).unwrap();
        fs::write(run.join("cache/any"), seconds.to_string()).unwrap();
        fs::write(run.join("adapter/weights"), [1, 2, 3]).unwrap();
        let result = format!(r#"{{"score":1.5,"train_seconds":{seconds},"of":[{{"seconds":2}}]}}"#);
        fs::write(run.join("result.json"), result).unwrap();
        let metrics = format!("{{\"step\":1,\"seconds\":{seconds}}}\n{{\"step\":2}}\n");
        fs::write(run.join("metrics.jsonl"), metrics).unwrap();
        run
    }

    #[test]
    fn times_are_no_difference_and_all_else_is() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (run(place.path(), 1.0), run(place.path(), 2.5));
        let expected = Contents::of(&one).unwrap();
        let differences = || expected.differences(&Contents::of(&other).unwrap());
        assert!(differences().is_empty(), "{:?}", differences());
        fs::write(other.join("adapter/weights"), [1, 2, 4]).unwrap();
        fs::write(other.join("metrics.jsonl"), "{\"step\":1}\n").unwrap();
        fs::remove_file(other.join("result.json")).unwrap();
        fs::create_dir(other.join("lock")).unwrap();
        assert_eq!(
            differences(),
            [
                "adapter/weights differs",
                "lock should not be there",
                "metrics.jsonl differs",
                "result.json is missing"
            ]
        );
        let found = Contents::of(&other).unwrap().without_left_overs();
        assert_eq!(expected.differences(&found).len(), 3);
    }

    #[test]
    fn how_far_a_run_is() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        assert_eq!(progress(&out), "before anything");
        let partial = place.path().join("run.partial");
        fs::create_dir_all(partial.join("checkpoints")).unwrap();
        assert_eq!(progress(&out), "loading");
        fs::write(partial.join("result.json"), "").unwrap();
        assert_eq!(progress(&out), "digests");
        fs::rename(&partial, &out).unwrap();
        assert_eq!(progress(&out), "finished");
        let grid = place.path().join("grid");
        fs::create_dir_all(grid.join("b.partial")).unwrap();
        fs::create_dir_all(grid.join("cache")).unwrap();
        fs::rename(&out, grid.join("a")).unwrap();
        assert_eq!(progress(&grid), "finished, loading");
    }
}
