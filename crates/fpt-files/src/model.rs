//! What names a model: a directory, or an owner, a name and a revision on the Hugging Face Hub.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::fingerprint::is_lower_hex;

/// The name of the scale model that programs carry; it is on no hub and in no directory.
pub const BUILT_IN_MODEL: &str = "mini-world";

const DEFAULT_REVISION: &str = "main";
const MAX_NAME: usize = 96;

/// Why a text is not a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Neither a directory nor the name of a model.
    #[error(
        "`{text}` is neither an existing directory nor a model of the hub, which is written owner/name or \
         owner/name@revision, like google/t5-v1_1-small: {reason}"
    )]
    Neither {
        /// What was given.
        text: String,
        /// Why it is not the name of a model.
        reason: String,
    },
    /// It looks like a path, and there is no such directory.
    #[error("no such directory: {}", path.display())]
    NoDirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A file where a directory is needed.
    #[error("{} is a file; give the directory that holds config.json, the weights and the tokenizer", path.display())]
    File {
        /// What was given.
        path: PathBuf,
    },
}

/// A model on the hub: owner, name and revision (a branch, a tag or a commit hash).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    owner: String,
    name: String,
    revision: String,
}

impl ModelId {
    /// Reads `owner/name` or `owner/name@revision`; without a revision it is `main`.
    ///
    /// # Errors
    ///
    /// When the text breaks the hub's rules for names, or git's for revisions.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let neither = |reason: String| SourceError::Neither {
            text: text.to_owned(),
            reason,
        };
        let Some((owner, name)) = id.split_once('/') else {
            return Err(neither("there is no `/` between owner and name".to_owned()));
        };
        check_part("owner", owner)
            .and_then(|()| check_part("name", name))
            .map_err(neither)?;
        check_revision(revision).map_err(neither)?;
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// The user or organisation.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name, without the owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit hash.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// `owner/name`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Whether the revision is a full commit hash, whose files never change.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        is_commit_hash(&self.revision)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.owner, self.name, self.revision)
    }
}

impl FromStr for ModelId {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A directory on this machine.
    Local(PathBuf),
    /// A model of the hub.
    Hub(ModelId),
}

impl ModelSource {
    /// Reads what a user gives for a model. A directory that exists is always local; otherwise
    /// `owner/name` and `owner/name@revision` are models of the hub.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Local(path.to_owned()));
        }
        if path.is_file() {
            return Err(SourceError::File {
                path: path.to_owned(),
            });
        }
        if is_only_a_path(text) {
            return Err(SourceError::NoDirectory {
                path: path.to_owned(),
            });
        }
        ModelId::parse(text).map(Self::Hub)
    }
}

impl FromStr for ModelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// What a user gives for a model, without the revision where that is a model of the hub: `owner/name` of
/// `owner/name@revision`. Any other text is a path and stays whole, and so does that of a directory that exists.
#[must_use]
pub fn without_revision(text: &str) -> &str {
    if Path::new(text).is_dir() || ModelId::parse(text).is_err() {
        return text;
    }
    text.split_once('@')
        .map_or(text, |(repository, _)| repository)
}

/// Whether a text can only be meant as a path.
fn is_only_a_path(text: &str) -> bool {
    let id = text.split_once('@').map_or(text, |(id, _)| id);
    Path::new(text).is_absolute()
        || text.starts_with(['.', '~'])
        || id.ends_with('/')
        || id.contains('\\')
        || id.matches('/').count() > 1
}

/// The hub's rules, under which `owner--name` in the cache is unambiguous.
fn check_part(what: &str, part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if part.len() > MAX_NAME {
        return Err(format!("the {what} has more than {MAX_NAME} characters"));
    }
    if let Some(bad) = part
        .chars()
        .find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        return Err(format!("{bad:?} is not allowed in the {what}"));
    }
    if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
        return Err(format!("the {what} begins or ends with `-` or `.`"));
    }
    if part.contains("--") || part.contains("..") {
        return Err(format!("`--` and `..` are not allowed in the {what}"));
    }
    Ok(())
}

fn check_revision(revision: &str) -> Result<(), String> {
    if revision.is_empty() {
        return Err("the revision after `@` is empty".to_owned());
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    if let Some(bad) = revision.chars().find(|&c| bad(c)) {
        return Err(format!("{bad:?} is not allowed in a revision"));
    }
    // It becomes a path below `refs`.
    if revision
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.') || part.contains(".."))
    {
        return Err("the revision has an empty part, or one that begins with `.`".to_owned());
    }
    Ok(())
}

/// Whether a text is a full commit hash: 40 lower-case hexadecimal digits.
#[must_use]
pub fn is_commit_hash(text: &str) -> bool {
    is_lower_hex(text, 40)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_models_of_the_hub() {
        let id = ModelId::parse("google/t5-v1_1-small").unwrap();
        assert_eq!(
            (id.owner(), id.name(), id.revision()),
            ("google", "t5-v1_1-small", "main")
        );
        assert!(!id.is_pinned());

        let id = ModelId::parse("google/t5@refs/pr/1").unwrap();
        assert_eq!(id.to_string(), "google/t5@refs/pr/1");
        assert_eq!(id.repository(), "google/t5");

        assert!(
            ModelId::parse("a/b@0123456789abcdef0123456789abcdef01234567")
                .unwrap()
                .is_pinned()
        );
        assert!(!ModelId::parse("a/b@0123456789").unwrap().is_pinned());
    }

    #[test]
    fn refuses_what_breaks_the_rules() {
        for (text, reason) in [
            ("t5-large", "there is no `/`"),
            ("/t5", "the owner is empty"),
            ("google/", "the name is empty"),
            ("google/t5@", "the revision after `@` is empty"),
            ("google/t5/small", "'/' is not allowed in the name"),
            ("google/t 5", "' ' is not allowed in the name"),
            ("google/t5--small", "`--` and `..`"),
            ("goo..gle/t5", "`--` and `..`"),
            ("google/.t5", "begins or ends"),
            ("google/t5@a b", "' ' is not allowed in a revision"),
            ("google/t5@../../x", "begins with `.`"),
            ("google/t5@a//b", "empty part"),
            ("google/t5@/etc", "empty part"),
        ] {
            let error = ModelId::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains(text),
                "{text}: {error}"
            );
        }
        assert!(ModelId::parse(&format!("a/{}", "b".repeat(97))).is_err());
    }

    #[test]
    fn a_directory_is_always_local() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert_eq!(
            ModelSource::parse(path),
            Ok(ModelSource::Local(dir.path().to_owned()))
        );
    }

    #[test]
    fn only_models_of_the_hub_have_revisions() {
        assert_eq!(without_revision("google/t5@refs/pr/1"), "google/t5");
        for whole in [
            "google/t5",
            "t5@v1",
            "./models@x/t5",
            "/models/me@x/t5",
            "~/models@x",
            "google/t5@",
        ] {
            assert_eq!(without_revision(whole), whole);
        }
    }

    #[test]
    fn what_is_no_directory_is_looked_at_closely() {
        assert_eq!(
            ModelSource::parse("google/t5@v1"),
            ModelId::parse("google/t5@v1").map(ModelSource::Hub)
        );
        for path in [
            "./no/such",
            "/no/such",
            "~/models/t5",
            "no/such/directory",
            "no/such/",
            "no\\such",
        ] {
            let error = ModelSource::parse(path).unwrap_err();
            assert_eq!(error, SourceError::NoDirectory { path: path.into() });
        }
        assert!(matches!(
            ModelSource::parse("Cargo.toml"),
            Err(SourceError::File { .. })
        ));
        let error = ModelSource::parse("t5-large").unwrap_err().to_string();
        assert!(
            error.contains("neither an existing directory nor a model"),
            "{error}"
        );
    }
}
