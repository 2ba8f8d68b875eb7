//! Records the revision of the sources that the program is built from, as `FPT_REVISION`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Digits of a commit that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let revision = packaged(&here)
        .or_else(|| checked_out(&here))
        .unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=FPT_REVISION={revision}");
}

/// The revision that Cargo wrote into the package.
fn packaged(here: &Path) -> Option<String> {
    let path = here.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(&path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    // {"git": {"sha1": "...", "dirty": true}, "path_in_vcs": "..."}; `dirty` may be missing.
    let after = |key: &str, count: usize| {
        let mut pieces = text.split('"').skip_while(|piece| *piece != key);
        pieces.nth(count)
    };
    let commit = after("sha1", 2)?.get(..DIGITS)?;
    let dirty = after("dirty", 1).is_some_and(|value| value.contains("true"));
    Some(format!("{commit}{}", if dirty { "-dirty" } else { "" }))
}

/// The revision of the checkout that this package is a part of. A package that merely lies in somebody's checkout is
/// not of its revision.
fn checked_out(here: &Path) -> Option<String> {
    git(here, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    let revision = git(
        here,
        &[
            "describe",
            "--always",
            "--dirty",
            &format!("--abbrev={DIGITS}"),
        ],
    )?;
    watch(here);
    Some(revision)
}

/// Have this script run again after a commit, a checkout, and a change in sources: not at every build.
fn watch(here: &Path) {
    let of_git = ["HEAD", "logs/HEAD"].map(|name| git(here, &["rev-parse", "--git-path", name]));
    let of_git = of_git.into_iter().flatten().map(|path| here.join(path));
    let of_all = ["Cargo.toml", "Cargo.lock"].map(|name| here.join("../..").join(name));
    let crates = fs::read_dir(here.join(".."))
        .into_iter()
        .flatten()
        .flatten();
    let of_crates = crates
        .flat_map(|entry| ["Cargo.toml", "build.rs", "src"].map(|name| entry.path().join(name)));
    for path in of_git.chain(of_all).chain(of_crates) {
        // A path that is not there would count as changed, always.
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

/// What git says here, if it is there and does not fail.
fn git(here: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .current_dir(here)
        // A build out of a hook would otherwise be told of the hook's repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        // Nothing is written into the checkout.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_string())
}
