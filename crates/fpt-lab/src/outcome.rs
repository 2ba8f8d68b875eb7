//! What runs leave behind, without what time and machine have to do with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Follow from other files, and tell of times or of how a program was called.
const DERIVED: [&str; 6] = [
    "events.out.tfevents.fpt",
    "SHA256SUMS",
    "command.txt",
    "report.md",
    "results.csv",
    "results.json",
];

/// All files below a directory by their names in it, with their contents: of JSON without seconds and memory, and of what
/// follows from other files nothing. A cache is left out.
#[must_use]
pub fn outcome(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.is_dir() && name == "cache" {
            continue;
        }
        if path.is_dir() {
            let below = outcome(&path).into_iter();
            found.extend(below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
            continue;
        }
        let bytes = if DERIVED.contains(&&*name) || name.ends_with(".html") {
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let bytes = match name.rsplit('.').next().filter(|_| !bytes.is_empty()) {
            Some("json") => timeless(&bytes),
            Some("jsonl") => bytes
                .split(|&byte| byte == b'\n')
                .map(timeless)
                .collect::<Vec<_>>()
                .join(&b'\n'),
            _ => bytes,
        };
        found.insert(name, bytes);
    }
    found
}

/// JSON without seconds and memory.
fn timeless(json: &[u8]) -> Vec<u8> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| !key.contains("seconds") && key != "peak_memory");
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    if json.is_empty() {
        return Vec::new();
    }
    let mut value: Value = serde_json::from_slice(json).unwrap();
    strip(&mut value);
    value.to_string().into_bytes()
}

/// That two [`outcome`]s are the same, file by file and bit by bit; `what` it was.
pub fn assert_same(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in found {
        assert!(*bytes == expected[name], "{what}: {name} differs");
    }
}
