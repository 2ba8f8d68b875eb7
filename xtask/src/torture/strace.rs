//! Calls of the system as strace sees them, and what it makes fail.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use regex::Regex;

/// What can be made to fail, and how it can fail on a disk. A name that a machine's system has not is passed over.
pub(super) const FAULTS: [(&str, &[&str]); 21] = [
    ("write", &["ENOSPC", "EIO", "EDQUOT"]),
    ("pwrite64", &["ENOSPC", "EIO", "EDQUOT"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("rename", &["ENOSPC", "EIO", "EROFS", "EDQUOT"]),
    ("renameat", &["ENOSPC", "EIO", "EROFS", "EDQUOT"]),
    ("renameat2", &["ENOSPC", "EIO", "EROFS", "EDQUOT"]),
    ("link", &["ENOSPC", "EIO", "EROFS"]),
    ("linkat", &["ENOSPC", "EIO", "EROFS"]),
    ("openat", &["ENOSPC", "EIO", "EROFS", "EDQUOT", "EMFILE"]),
    ("mkdir", &["ENOSPC", "EIO", "EROFS", "EDQUOT"]),
    ("mkdirat", &["ENOSPC", "EIO", "EROFS", "EDQUOT"]),
    ("unlink", &["EIO", "EROFS"]),
    ("unlinkat", &["EIO", "EROFS"]),
    ("rmdir", &["EIO", "EROFS"]),
    ("ftruncate", &["EIO", "ENOSPC", "EROFS"]),
    ("flock", &["ENOLCK", "EIO"]),
    ("fchmod", &["EIO", "EROFS"]),
    ("chmod", &["EIO", "EROFS"]),
    ("read", &["EIO"]),
    ("getdents64", &["EIO"]),
];

/// How to get strace.
pub(super) fn missing() -> String {
    "it needs strace, which is not installed; `apt-get install strace`, or as your system has it"
        .into()
}

/// Strace that writes all calls of [`FAULTS`] to `log`. What is traced goes on as it would alone.
pub(super) fn watching(log: &Path) -> Vec<OsString> {
    let calls: Vec<String> = FAULTS.iter().map(|(call, _)| format!("?{call}")).collect();
    tracing(&calls.join(","), log)
}

/// Strace that lets the call of this name and number, counted in each thread, fail.
pub(super) fn failing(call: &str, number: usize, error: &str, log: &Path) -> Vec<OsString> {
    let mut words = tracing(call, log);
    words.push("-e".into());
    // A file system that has no locks has none at all.
    let all = if error == "ENOLCK" { "+" } else { "" };
    let first = if all.is_empty() { number } else { 1 };
    words.push(format!("inject={call}:error={error}:when={first}{all}").into());
    words
}

/// Strace that lets nothing be brought to the disk before the system does so by itself.
pub(super) fn without_sync() -> Vec<OsString> {
    let mut words = tracing("fsync,fdatasync", Path::new("/dev/null"));
    words.extend(["-e", "inject=fsync,fdatasync:retval=0"].map(OsString::from));
    words
}

fn tracing(calls: &str, log: &Path) -> Vec<OsString> {
    // With `--seccomp-bpf` all other calls are as fast as ever.
    let words = ["strace", "-f", "-y", "-qq", "--seccomp-bpf", "-e"].map(OsString::from);
    let mut words = words.to_vec();
    words.push(format!("trace={calls}").into());
    words.push("-o".into());
    words.push(log.into());
    words
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// Which of this name it is in its thread, from 1, as strace counts.
    pub(super) number: usize,
    /// What it is about; of two names, the last.
    pub(super) path: Option<PathBuf>,
    /// Whether it may change something: all but an opening that creates nothing.
    changes: bool,
    /// Whether strace made it fail.
    pub(super) injected: bool,
}

/// The calls in a log of strace, in the order of their beginnings.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let line = regex(r"^(\d+) +(?:(\w+)\((.*)|<\.\.\. \w+ resumed>(.*))$");
    let mut calls: Vec<Call> = Vec::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for captures in log.lines().filter_map(|text| line.captures(text)) {
        let group = |number| captures.get(number).map(|it| it.as_str());
        let Some(thread) = group(1) else { continue };
        if let (Some(name), Some(arguments)) = (group(2), group(3)) {
            let number = counts.entry((thread, name)).or_default();
            *number += 1;
            last.insert(thread, calls.len());
            calls.push(Call {
                name: name.into(),
                number: *number,
                path: path(name, arguments),
                changes: !name.starts_with("open") || arguments.contains("O_CREAT"),
                injected: false,
            });
        }
        let rest = group(3).or(group(4)).unwrap_or_default();
        if let Some(call) = last.get(thread).filter(|_| rest.ends_with("(INJECTED)")) {
            calls[*call].injected = true;
        }
    }
    calls
}

/// What a call is about: a name in the directory before it, or a file that is open.
fn path(name: &str, arguments: &str) -> Option<PathBuf> {
    let open = regex(r"^(?:\d+|AT_FDCWD)<([^>]*)>");
    let names = regex(r#"(?:(?:\d+|AT_FDCWD)<([^>]*)>, )?"([^"]*)""#);
    let takes_names = !matches!(
        name,
        "write" | "pwrite64" | "read" | "fsync" | "fdatasync" | "ftruncate" | "flock" | "fchmod"
    );
    let named = names.captures_iter(arguments).last();
    if let Some(named) = named.filter(|_| takes_names) {
        let directory = named.get(1).map_or("", |it| it.as_str());
        return Some(Path::new(directory).join(&named[2]));
    }
    let open = open.captures(arguments)?;
    Some(PathBuf::from(&open[1]))
}

/// The calls that can be made to fail one by one: those whose name and number belong to nothing but what lies below
/// `directory`, whichever thread makes them. Each once.
pub(super) fn candidates(calls: &[Call], directory: &Path) -> Vec<Call> {
    let mut found: BTreeMap<(&str, usize), Option<&Call>> = BTreeMap::new();
    for call in calls {
        let is_inside = call.changes
            && call
                .path
                .as_ref()
                .is_some_and(|path| path.starts_with(directory));
        let known = found.entry((&call.name, call.number)).or_insert(Some(call));
        if !is_inside {
            *known = None;
        }
    }
    found.into_values().flatten().cloned().collect()
}

/// The file that a temporary name stands for, as messages have it.
pub(super) fn meant(path: &Path) -> PathBuf {
    let temporary = regex(r"^\.(.*)\.[A-Za-z0-9]{6}\.tmp$");
    let parts = path.iter().map(|part| {
        let part = part.to_string_lossy();
        temporary
            .captures(&part)
            .map_or(part.to_string(), |it| it[1].to_string())
    });
    parts.collect()
}

fn regex(pattern: &str) -> Regex {
    #[allow(clippy::expect_used)]
    Regex::new(pattern).expect("a pattern")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LOG: &str = r#"10  openat(AT_FDCWD</work>, "/lib/libc.so.6", O_RDONLY|O_CLOEXEC) = 3</lib/libc.so.6>
10  read(3</lib/libc.so.6>, "\177ELF\"", 832) = 832
10  mkdir("/place/run", 0777)         = 0
10  openat(AT_FDCWD</work>, "/place/run/.a.json.aB3xY9.tmp", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 3</place/run/.a.json.aB3xY9.tmp>
10  write(3</place/run/.a.json.aB3xY9.tmp>, "{\"a\": 1}\n", 9 <unfinished ...>
11  write(5<pipe:[7]>, "!", 1)        = 1
10  <... write resumed>)              = -1 ENOSPC (No space left on device) (INJECTED)
11  write(6</place/run/b>, "!", 1)    = 1
10  unlinkat(4</place/run>, "a.json", 0) = -1 EIO (Input/output error) (INJECTED)
10  renameat2(AT_FDCWD</work>, "/place/x", AT_FDCWD</work>, "/place/y", 0) = 0
10  rename("/place/run.partial", "/place/run") = 0
10  +++ exited with 0 +++
"#;

    #[test]
    fn a_log_of_strace_is_read() {
        let calls = calls(LOG);
        let of = |name: &str| -> Vec<(usize, &str, bool)> {
            let of = calls.iter().filter(|call| call.name == name);
            of.map(|call| {
                (
                    call.number,
                    call.path.as_ref().unwrap().to_str().unwrap(),
                    call.injected,
                )
            })
            .collect()
        };
        let temporary = "/place/run/.a.json.aB3xY9.tmp";
        assert_eq!(
            of("write"),
            [
                (1, temporary, true),
                (1, "pipe:[7]", false),
                (2, "/place/run/b", false)
            ]
        );
        assert_eq!(
            of("openat"),
            [(1, "/lib/libc.so.6", false), (2, temporary, false)]
        );
        assert_eq!(of("read"), [(1, "/lib/libc.so.6", false)]);
        assert_eq!(of("unlinkat"), [(1, "/place/run/a.json", true)]);
        assert_eq!(of("renameat2"), [(1, "/place/y", false)]);
        assert_eq!(of("rename"), [(1, "/place/run", false)]);
        assert_eq!(of("mkdir"), [(1, "/place/run", false)]);
    }

    #[test]
    fn what_can_fail_is_inside() {
        let found = candidates(&calls(LOG), Path::new("/place"));
        let found: Vec<_> = found
            .iter()
            .map(|call| (call.name.as_str(), call.number))
            .collect();
        // The first `write` is also another thread's, of a pipe.
        let expected = [
            ("mkdir", 1),
            ("openat", 2),
            ("rename", 1),
            ("renameat2", 1),
            ("unlinkat", 1),
            ("write", 2),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn temporary_names_stand_for_others() {
        for (path, expected) in [
            ("/a/.b.json.aB3xY9.tmp", "/a/b.json"),
            ("/a/.b.json.aB3xY9.tmp/c", "/a/b.json/c"),
            ("/a/.b.json.tmp", "/a/.b.json.tmp"),
        ] {
            assert_eq!(meant(Path::new(path)), Path::new(expected));
        }
    }
}
