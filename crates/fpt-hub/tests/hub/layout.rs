//! The cache against that of Python's `huggingface_hub`, which the fixture lists.
//!
//! The fixture is checked, both libraries reading the other's cache, by
//!
//! ```text
//! FPT_PYTHON=python cargo test -p fpt-hub --test hub -- --ignored
//! ```
//!
//! with a Python that has huggingface_hub 0.36.2.

use std::env;
use std::path::Path;
use std::process::Command;

use fpt_hub::HubConfig;

use crate::server::{COMMIT, REPOSITORY};
use crate::{Setup, repository, tree};

const FIXTURE: &str = include_str!("huggingface_hub-0.36.2.txt");
const PYTHON: &str = r#"
import sys
from huggingface_hub import snapshot_download, try_to_load_from_cache
repository, cache, commit, local = sys.argv[1:]
files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
for revision in ["main", commit]:
    path = snapshot_download(repository, revision=revision, cache_dir=cache, allow_patterns=files,
                             local_files_only=local == "local")
    assert path.endswith(commit), path
for file in files:
    assert try_to_load_from_cache(repository, file, cache_dir=cache) == f"{path}/{file}", file
if local == "local":
    absent = try_to_load_from_cache(repository, "special_tokens_map.json", cache_dir=cache)
    assert absent is not None and not isinstance(absent, str), absent
"#;

/// Without what is known to be absent, which Python's library notes only when asked for one file.
fn listing(setup: &Setup) -> String {
    let lines = tree(&setup.repository())
        .into_iter()
        .filter(|line| !line.starts_with(".no_exist/"));
    lines.map(|line| line + "\n").collect()
}

fn python(setup: &Setup, local: bool) {
    let python = env::var("FPT_PYTHON").expect("FPT_PYTHON names the interpreter");
    let output = Command::new(python)
        .args(["-c", PYTHON, REPOSITORY])
        .arg(setup.cache.path())
        .args([COMMIT, if local { "local" } else { "remote" }])
        .env("HF_ENDPOINT", setup.server.endpoint())
        .env("HF_HOME", setup.cache.path().join("home"))
        .env("NO_PROXY", "127.0.0.1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[cfg(unix)]
#[test]
fn the_cache_is_laid_out_as_pythons() {
    let setup = Setup::new(&repository());
    setup.fetch().unwrap();
    assert_eq!(listing(&setup), FIXTURE);
    let absent = setup
        .repository()
        .join(".no_exist")
        .join(COMMIT)
        .join("special_tokens_map.json");
    assert!(absent.is_file());
    assert_eq!(
        std::fs::read_to_string(setup.repository().join("refs/main")).unwrap(),
        COMMIT
    );
}

#[test]
#[ignore = "needs Python with huggingface_hub"]
fn python_reads_our_cache_and_we_read_pythons() {
    let ours = Setup::new(&repository());
    ours.fetch().unwrap();
    ours.server.requests();
    python(&ours, true);
    assert_eq!(ours.server.requests(), []);

    let theirs = Setup::new(&repository());
    python(&theirs, false);
    assert_eq!(listing(&theirs), FIXTURE);
    let offline = HubConfig {
        offline: true,
        ..theirs.config()
    };
    let snapshot = theirs.fetch_with(offline, REPOSITORY).unwrap();
    assert_eq!(Path::new(&snapshot.dir).file_name().unwrap(), COMMIT);
}
