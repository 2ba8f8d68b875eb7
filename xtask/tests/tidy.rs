//! What the sources of the workspace keep to and no lint holds: a test for each rule, which names file and line.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const PAPER_TASKS: &str =
    r#"(TaskName::(MNLI|QQP|SQUAD2|RECORD|XSUM)\b|"(mnli|qqp|squad2|record|xsum)")"#;

/// A file of Rust.
struct Source {
    /// From the root of the workspace, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn in_src(&self) -> bool {
        self.path.contains("/src/")
    }

    /// The lines that a program is made of, with their numbers: no comments, and no tests, which stand at the end.
    fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = !self.in_src() || self.path.ends_with("/tests.rs");
        let tests = regex(r"#\[cfg\(test\)\]\n(#\[.*\]\n)*mod tests \{").find(&self.text);
        let text = &self.text[..tests.map_or(self.text.len(), |it| it.start())];
        let lines = text.lines().zip(1..).filter(move |_| !is_test);
        lines
            .map(|(line, number)| (number, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Where `pattern` stands in the program.
    fn find(&self, pattern: &Regex) -> Vec<String> {
        let lines = self.program();
        lines
            .filter(|(_, line)| pattern.is_match(line))
            .map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut entries: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    entries
}

/// All of the workspace's own.
fn sources() -> Vec<Source> {
    fn walk(root: &Path, directory: &str, sources: &mut Vec<Source>) {
        for entry in entries(&root.join(directory)) {
            let name = entry.file_name().expect("a name").to_string_lossy();
            let path = format!("{directory}/{name}");
            if entry.is_dir() {
                walk(root, &path, sources);
            } else if path.ends_with(".rs") {
                let text = fs::read_to_string(&entry).expect("a source");
                sources.push(Source { path, text });
            }
        }
    }
    let mut sources = Vec::new();
    for directory in ["crates", "xtask"] {
        walk(&root(), directory, &mut sources);
    }
    assert!(!sources.is_empty());
    sources
}

fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let bare = |source: &Source| {
        let text = &source.text;
        !text.starts_with("//! ") && !text.starts_with("#![doc = include_str!(\"../README.md\")]")
    };
    let found: Vec<_> = sources().into_iter().filter(bare).collect();
    let found: Vec<_> = found.iter().map(|it| format!("{}:1", it.path)).collect();
    assert_none(
        "a file begins with `//!`, a library with its README",
        &found,
    );
}

#[test]
fn an_import_is_of_one_module() {
    let nested = regex(r"(?m)^ *use (std::\{[^}]*\}|[^;{]*\{[^;]*\w::[^;]*\});");
    let mut found = Vec::new();
    for source in sources() {
        for import in nested.find_iter(&source.text) {
            let line = source.text[..import.start()].lines().count() + 1;
            found.push(format!("{}:{line}: {}", source.path, import.as_str()));
        }
    }
    assert_none("a `use` names one module", &found);
}

/// Whoever prints an error prints its causes, too.
#[test]
fn errors_leave_their_cause_to_source() {
    let message = regex(r"(?s)#\[error\(.*?\)\]\n");
    let mut found = Vec::new();
    for source in sources() {
        for attribute in message.find_iter(&source.text) {
            let variant = &source.text[attribute.end()..];
            let wraps = variant[..variant.find([',', ';']).unwrap_or(variant.len())].contains("#[");
            let says = attribute.as_str();
            if says.contains("{source") || wraps && says.contains("{0") {
                let line = source.text[..attribute.start()].lines().count() + 1;
                found.push(format!("{}:{line}: {}", source.path, says.trim()));
            }
        }
    }
    assert_none("an error's message does not repeat its source", &found);
}

#[test]
fn libraries_leave_the_world_to_programs() {
    let world = regex(
        r#""/proc|\benv::var(_os|s|s_os)?\b|\be?print(ln)?!|\bprocess::exit\b|\bCommand::new\b"#,
    );
    let is_library = |path: &str| {
        path.starts_with("crates/")
            && !["crates/fpt/", "crates/fpt-lab/"].iter().any(|it| path.starts_with(it))
            // The hub is configured by the variables that Python reads, too.
            && path != "crates/fpt-hub/src/config.rs"
            // Who holds a lock is asked of the system.
            && path != "crates/fpt-files/src/lock/machine.rs"
    };
    let libraries = sources().into_iter().filter(|it| is_library(&it.path));
    let found: Vec<_> = libraries.flat_map(|it| it.find(&world)).collect();
    assert_none(
        "no library reads the environment or /proc, prints, exits or starts programs",
        &found,
    );
}

/// That brings content and name to the disk, which a rename alone does not.
#[test]
fn files_get_their_names_from_fpt_files() {
    let named = regex(r"\bfs::(rename|write|copy)\(|\bFile::create(_new)?\(|\.persist\(");
    let own_way = [
        // Blobs are synced before they are renamed; a file without content tells that something is absent.
        "crates/fpt-hub/src/download.rs",
        "crates/fpt-hub/src/cache.rs",
        // A directory at work is no promise yet.
        "crates/fpt-train/src/run_dir/open.rs",
        // For another program, and gone with it.
        "xtask/src/interop/exchange.rs",
        "xtask/src/bench/",
        // What befalls others, and scenes for it.
        "xtask/src/torture/",
        "xtask/src/load/",
        // `write_path` is what names the copy.
        "crates/fpt/src/commands/convert.rs",
    ];
    let elsewhere = |it: &Source| {
        let mut left_out = ["crates/fpt-files/", "crates/fpt-lab/"]
            .iter()
            .chain(&own_way);
        !left_out.any(|start| it.path.starts_with(start))
    };
    let sources = sources().into_iter().filter(elsewhere);
    let found: Vec<_> = sources.flat_map(|it| it.find(&named)).collect();
    assert_none("a file that others read is written by `fpt-files`", &found);
}

#[test]
fn tables_are_escaped_in_one_place() {
    let elsewhere = |it: &Source| it.path != "crates/fpt-report/src/markdown.rs";
    let sources = sources().into_iter().filter(elsewhere);
    let found: Vec<_> = sources
        .flat_map(|it| it.find(&regex(r"\bcomfy_table\b")))
        .collect();
    assert_none("a table of Markdown is a `MarkdownTable`", &found);
}

#[test]
fn nothing_is_ignored_or_left_to_do() {
    let unfinished = regex(r"#\[ignore|\b(todo|unimplemented)!\(");
    let mut found = Vec::new();
    for source in sources() {
        for (line, number) in source.text.lines().zip(1..) {
            if unfinished.is_match(line) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("no test is ignored, and nothing is left to do", &found);
}

#[test]
fn tasks_own_what_differs_between_them() {
    let decided = regex(&format!(
        r"{PAPER_TASKS}\s*(=>|\||==|!=)|(\||==|!=)\s*&?{PAPER_TASKS}"
    ));
    let owns =
        |path: &str| path.starts_with("crates/fpt-tasks/") || path.starts_with("crates/fpt-world/");
    let others = sources().into_iter().filter(|it| !owns(&it.path));
    let found: Vec<_> = others.flat_map(|it| it.find(&decided)).collect();
    assert_none(
        "only `fpt-tasks` and `fpt-world` ask which task it is",
        &found,
    );
}

#[test]
fn no_program_asks_git() {
    let git = regex(r#""git""#);
    // It asks for another revision than its own.
    let sources = sources()
        .into_iter()
        .filter(|it| it.path != "xtask/src/bench/against/checkout.rs");
    let found: Vec<_> = sources.flat_map(|it| it.find(&git)).collect();
    assert_none("the revision is known when a program is built", &found);
}

/// A package has no more than lies in its directory; Cargo puts what a link leads to into it.
#[test]
fn published_crates_have_what_their_readers_look_for() {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let mut found = Vec::new();
    for directory in entries(&root().join("crates")) {
        let manifest = read(directory.join("Cargo.toml"));
        if manifest.contains("publish = false") {
            continue;
        }
        let name = directory.display();
        if read(directory.join("README.md")).is_empty() {
            found.push(format!("{name}: README.md"));
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let text = read(root().join(licence));
            if text.is_empty() || read(directory.join(licence)) != text {
                found.push(format!("{name}: {licence}, as it is at the root"));
            }
        }
        if !manifest.contains("[package.metadata.docs.rs]") {
            found.push(format!("{name}: what docs.rs should build"));
        }
    }
    assert_none("a published crate has", &found);
}

/// What lies elsewhere is reached by a link.
#[test]
fn what_a_crate_embeds_lies_in_its_directory() {
    let embedded = regex(r#"include_(?:str|bytes)!\(\s*"([^"]+)""#);
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|it| it.path.starts_with("crates/") && it.in_src())
    {
        for captures in embedded.captures_iter(&source.text) {
            let mut place: Vec<&str> = source.path.split('/').collect();
            place.pop();
            for part in captures[1].split('/') {
                if part == ".." {
                    place.pop();
                } else {
                    place.push(part);
                }
            }
            // crates/NAME/...
            if place.len() < 3 || place[..2] != source.path.split('/').collect::<Vec<_>>()[..2] {
                found.push(format!("{}: {}", source.path, &captures[1]));
            }
        }
    }
    assert_none("a package has no more than lies in its directory", &found);
}

#[test]
fn paths_in_the_documents_exist() {
    let link = regex(
        r"\]\(([^)#:\s]+)(?:#[^)]*)?\)|`((?:crates|xtask|configs|docs|datasets|benches)/[^`\s*]*)`",
    );
    let mut found = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        let text = fs::read_to_string(root().join(document)).expect("a document");
        for (line, number) in text.lines().zip(1..) {
            for captures in link.captures_iter(line) {
                let path = captures
                    .get(1)
                    .or(captures.get(2))
                    .expect("a path")
                    .as_str();
                if !root().join(path).exists() {
                    found.push(format!("{document}:{number}: {path}"));
                }
            }
        }
    }
    assert_none("a path in a document leads somewhere", &found);
}

#[test]
fn versions_are_the_manifests() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file");
    let manifest = read("Cargo.toml");
    let value = |key: &str| {
        let line = regex(&format!("(?m)^{key} = \"(.*)\"$"));
        line.captures(&manifest).expect("a key")[1].to_string()
    };
    let (rust, ours) = (value("rust-version"), value("version"));
    let mut found = Vec::new();
    for (file, says) in [
        (".github/workflows/ci.yml", format!("cargo +{rust} check")),
        ("README.md", format!("Rust ({rust} or newer)")),
        ("CITATION.cff", format!("\nversion: {ours}\n")),
        ("CHANGELOG.md", ours.clone()),
    ] {
        if !read(file).contains(&says) {
            found.push(format!("{file}: {}", says.trim()));
        }
    }
    assert_none("versions are those of Cargo.toml", &found);
}

#[test]
fn the_readme_names_what_a_build_needs() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file");
    let readme = read("README.md");
    let mut found = Vec::new();
    if read("Cargo.lock").contains("\nname = \"cc\"\n") && !readme.contains("a C compiler") {
        found.push("a C compiler, which `cc` calls".to_string());
    }
    let feature = regex(r"(?ms)^\[features\]$(.*?)(^\[|\z)");
    let name = regex(r"(?m)^([\w-]+) = \[");
    for directory in entries(&root().join("crates")) {
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).expect("a manifest");
        for features in feature.captures_iter(&manifest) {
            for name in name.captures_iter(&features[1]) {
                // What other features bring is nobody's to ask for.
                if features[1].contains(&format!("\"{}\"", &name[1])) {
                    continue;
                }
                let how = format!("--features {}", &name[1]);
                if !readme
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(&how)
                {
                    found.push(format!("{}: {how}", directory.display()));
                }
            }
        }
    }
    assert_none(
        "README.md names what a build needs, and features with their command",
        &found,
    );
}
