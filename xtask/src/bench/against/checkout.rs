//! Another revision of this repository, in a directory of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use fpt::terminal;

use crate::shell;

/// What a revision must have.
const BENCHMARKS: &str = "xtask/benches/speed.rs";

/// A commit, checked out.
pub(super) struct Checkout {
    pub commit: String,
    pub directory: PathBuf,
}

impl Checkout {
    /// The checkout of the repository's `revision` in `parent`, named as the commit is. One that is whole is used again; others
    /// in `parent` are removed, so that a revision that moves, as a branch does, leaves nothing behind.
    pub(super) fn of(revision: &str, repository: &Path, parent: &Path) -> anyhow::Result<Self> {
        let commit = commit(revision, repository)?;
        let has = git(repository)
            .args(["cat-file", "-e", &format!("{commit}:{BENCHMARKS}")])
            .output()?;
        ensure!(
            has.status.success(),
            "{revision} has no {BENCHMARKS}: choose a later one, which has benchmarks"
        );
        let directory = parent.join(&commit);
        for other in checkouts(parent)? {
            if other != directory {
                remove(&other, repository)?;
            }
        }
        if !is_whole(&directory, &commit) {
            remove(&directory, repository)?;
            terminal::note(&format!(
                "checking {revision} out into {}",
                directory.display()
            ));
            // Forced twice: git may still know a directory that was removed, or one that it had not finished.
            let mut add = git(repository);
            add.args([
                "worktree", "add", "--quiet", "--force", "--force", "--detach",
            ]);
            shell::call(add.arg(&directory).arg(&commit))?;
        }
        Ok(Self { commit, directory })
    }
}

/// Git in a directory. What a hook that calls this was told of its repository is not passed on.
fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

/// The full name of the commit that `revision` is.
fn commit(revision: &str, repository: &Path) -> anyhow::Result<String> {
    let output = git(repository)
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
        .arg(format!("{revision}^{{commit}}"))
        .output()
        .context("failed to start git, which --against needs")?;
    ensure!(
        output.status.success(),
        "git knows no commit {revision:?} here: `git log --all` shows those that there are, and where the clone is shallow, \
         `git fetch --unshallow` brings the rest"
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

/// The directories in `parent` that are named as commits are.
fn checkouts(parent: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_commit = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.len() >= 40 && name.chars().all(|c| c.is_ascii_hexdigit())
    };
    let mut found = Vec::new();
    let entries =
        fs::read_dir(parent).with_context(|| format!("failed to read {}", parent.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(is_commit) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether the commit is there with all of its files as they were. A call that was cut off left fewer.
fn is_whole(directory: &Path, commit: &str) -> bool {
    let says = |arguments: &[&str]| {
        let output = git(directory).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    // Without a link of its own, git would answer for the repository around it.
    directory.join(".git").is_file()
        && says(&["rev-parse", "--verify", "HEAD"]).is_some_and(|head| head == commit)
        && says(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| it.is_empty())
}

/// Remove a checkout, if it's there, and what git knows of it.
fn remove(directory: &Path, repository: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        // Forced twice, it removes one that git had not finished, too. It fails for what is no checkout, or no longer one:
        // then there is only the directory.
        git(repository)
            .args(["worktree", "remove", "--force", "--force"])
            .arg(directory)
            .output()?;
    }
    shell::remove(directory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn call(directory: &Path, arguments: &[&str]) -> String {
        let output = git(directory)
            .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Add all files to a commit of the branch `main`.
    fn record(repository: &Path) {
        call(repository, &["add", "."]);
        call(repository, &["commit", "--quiet", "--message", "more"]);
    }

    /// A repository whose first commit, `v0`, has no benchmarks, and a directory for checkouts in it.
    fn scene() -> (TempDir, PathBuf) {
        let repository = tempfile::tempdir().unwrap();
        let root = repository.path();
        call(root, &["init", "--quiet", "--initial-branch", "main"]);
        fs::write(root.join(".gitignore"), "/target\n").unwrap();
        record(root);
        call(root, &["tag", "v0"]);
        fs::create_dir_all(root.join("xtask/benches")).unwrap();
        fs::write(root.join(BENCHMARKS), "fn main() {}\n").unwrap();
        record(root);
        let parent = root.join("target/against");
        fs::create_dir_all(parent.join("target")).unwrap();
        let parent = fs::canonicalize(parent).unwrap();
        (repository, parent)
    }

    #[test]
    fn a_whole_checkout_is_used_again() {
        let (repository, parent) = scene();
        let check_out = || Checkout::of("main", repository.path(), &parent).unwrap();
        let checkout = check_out();
        assert!(checkout.directory.ends_with(&checkout.commit));
        let data = checkout.directory.join("data");
        fs::write(&data, "made there").unwrap();
        assert_eq!(check_out().directory, checkout.directory);
        assert!(data.exists());
    }

    #[test]
    fn what_was_cut_off_or_removed_is_checked_out_anew() {
        let (repository, parent) = scene();
        let check_out = || Checkout::of("main", repository.path(), &parent).unwrap();
        let directory = check_out().directory;
        let benchmarks = directory.join(BENCHMARKS);
        let harms: [&dyn Fn(); 4] = [
            &|| fs::remove_file(&benchmarks).unwrap(),
            &|| fs::remove_file(directory.join(".git")).unwrap(),
            &|| fs::remove_dir_all(&directory).unwrap(),
            // As while git adds it.
            &|| {
                call(
                    repository.path(),
                    &["worktree", "lock", directory.to_str().unwrap()],
                );
                fs::remove_file(&benchmarks).unwrap();
            },
        ];
        for harm in harms {
            harm();
            check_out();
            assert!(benchmarks.exists());
            assert!(is_whole(
                &directory,
                &commit("main", repository.path()).unwrap()
            ));
        }
    }

    #[test]
    fn a_revision_that_moves_leaves_no_checkout_behind() {
        let (repository, parent) = scene();
        let check_out = || Checkout::of("main", repository.path(), &parent).unwrap();
        let before = check_out().directory;
        fs::write(repository.path().join("more"), "").unwrap();
        record(repository.path());
        let after = check_out().directory;
        assert_ne!(before, after);
        assert!(!before.exists());
        assert!(after.join("more").exists());
        // What else lies there stays.
        assert!(parent.join("target").exists());
        let known = call(repository.path(), &["worktree", "list"]);
        assert_eq!(known.lines().count(), 2, "{known}");
    }

    #[test]
    fn other_revisions_are_errors() {
        let (repository, parent) = scene();
        let error = |revision| {
            let result = Checkout::of(revision, repository.path(), &parent);
            result.err().unwrap().to_string()
        };
        assert!(error("mian").starts_with("git knows no commit \"mian\" here"));
        assert!(error("--all").starts_with("git knows no commit"));
        assert!(error("v0").starts_with("v0 has no xtask/benches/speed.rs"));
    }
}
