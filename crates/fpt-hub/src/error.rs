//! Why a model cannot be had.

use std::io;
use std::path::PathBuf;

use fpt_files::{FileError, ModelId};
use thiserror::Error;

/// Why a model cannot be had. No error shows the access token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// Settings that cannot work.
    #[error("cannot use the hub: {reason}")]
    Config {
        /// What is wrong, and the way out.
        reason: String,
    },
    /// The hub refuses access (401, 403).
    #[error("{}", denied(model, file.as_deref(), *status, *token_given, page))]
    Denied {
        /// The model.
        model: Box<ModelId>,
        /// The file, when the model itself may be looked at.
        file: Option<String>,
        /// The HTTP status.
        status: u16,
        /// Whether a token was sent.
        token_given: bool,
        /// The model's page.
        page: String,
    },
    /// There is no such repository.
    #[error(
        "{endpoint} has no model {repository} (and there is no such directory here); check the name"
    )]
    RepositoryNotFound {
        /// `owner/name`.
        repository: String,
        /// The hub's address.
        endpoint: String,
    },
    /// The repository has no such revision.
    #[error(
        "{} has no revision `{}`; give a branch, a tag or a full commit hash: {}@main",
        model.repository(), model.revision(), model.repository()
    )]
    RevisionNotFound {
        /// The model.
        model: Box<ModelId>,
    },
    /// The repository has no such file.
    #[error("{model} has no file `{file}`")]
    FileNotFound {
        /// The model.
        model: Box<ModelId>,
        /// The file.
        file: String,
    },
    /// The repository has a needed file under none of its names.
    #[error("{model} has no {}; looked for {}: is it a T5 checkpoint?", bare(what), names.join(", "))]
    NoneOf {
        /// The model.
        model: Box<ModelId>,
        /// What is missing.
        what: String,
        /// The names.
        names: Vec<String>,
    },
    /// Offline, and the cache lacks a file.
    #[error(
        "{file} of {model} is not in the cache {} and the hub is switched off (HF_HUB_OFFLINE); run once with it \
         switched on, or `hf download {} --revision {}`, or give a directory with the files", cache.display(),
        model.repository(), model.revision()
    )]
    NotCached {
        /// The model.
        model: Box<ModelId>,
        /// The missing file.
        file: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The server cannot be reached, or hangs up.
    #[error("cannot get {url}: {reason} (tried {attempts} times); check the network and the proxy")]
    Network {
        /// The address, without its query.
        url: String,
        /// What went wrong last.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server answers with an error.
    #[error("cannot get {url}: the server answered {status} (tried {attempts} times){}", status_hint(*status))]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server asks for a longer wait than is allowed.
    #[error(
        "{url}: the server asks to wait {seconds} s; try again then{}",
        status_hint(429)
    )]
    RateLimited {
        /// The address, without its query.
        url: String,
        /// The wait it asks for.
        seconds: u64,
    },
    /// A file has the wrong size.
    #[error(
        "{file} of {model} should have {expected} bytes, but the server sent {found} (tried {attempts} times); what \
         was received is kept, run again to continue"
    )]
    Truncated {
        /// The model.
        model: Box<ModelId>,
        /// The file.
        file: String,
        /// The size it should have.
        expected: u64,
        /// What arrived.
        found: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// A file is not what the hub says it is. It was removed.
    #[error(
        "{file} of {model} came damaged, twice: {reason}; it was removed, try again later or from another network"
    )]
    Damaged {
        /// The model.
        model: Box<ModelId>,
        /// The file.
        file: String,
        /// What differs.
        reason: String,
    },
    /// A reply that the hub would not give.
    #[error("{url} does not answer as the hub does: {reason}; check HF_ENDPOINT and the proxy")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What is odd.
        reason: String,
    },
    /// An index of shards cannot be read.
    #[error("{}: {reason}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file or directory of the cache cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl From<FileError> for HubError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } | FileError::Write { path, source } => {
                Self::Io { path, source }
            }
            FileError::Damaged { path, reason } => Self::Index { path, reason },
        }
    }
}

impl HubError {
    /// Whether the hub was not reached, or was not able to answer.
    pub(crate) fn is_unreached(&self) -> bool {
        match self {
            Self::Network { .. } | Self::RateLimited { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

fn denied(
    model: &ModelId,
    file: Option<&str>,
    status: u16,
    token_given: bool,
    page: &str,
) -> String {
    let what = file.map_or_else(|| model.to_string(), |file| format!("{file} of {model}"));
    let (why, way_out) = if token_given {
        (
            "the access token is not valid, or does not give access to it",
            "If the model is gated, its conditions must be accepted by the token's owner at",
        )
    } else {
        (
            "the name is wrong, or the model is private or gated and needs an access token: set HF_TOKEN or run `hf \
             auth login`",
            "If the model is gated, first accept its conditions at",
        )
    };
    format!("access to {what} refused (HTTP {status}): {why}. {way_out} {page}")
}

fn status_hint(status: u16) -> &'static str {
    match status {
        429 => "; an access token (HF_TOKEN) allows more requests",
        500.. => "; the hub has a problem, try again later",
        _ => "",
    }
}

fn bare(what: &str) -> &str {
    what.trim_start_matches("the ").trim_start_matches("a ")
}
