//! From a model's name to a directory with its files.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use fpt_files::{ModelId, WeightIndex, is_commit_hash, is_index};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::cache::ModelCache;
use crate::config::HubConfig;
use crate::download::{Failed, Progress, download};
use crate::error::HubError;
use crate::files::{FileSet, is_plain};
use crate::http::{Client, Failure, Retry, shown};

const IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A model's files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The directory of the files. It may hold more than was asked for.
    pub dir: PathBuf,
    /// The commit that they are of.
    pub commit: String,
    /// Why the hub did not say what the revision stands for now, where it was asked and could not be reached: then this is
    /// what the revision stood for when the hub was asked last.
    pub unreached: Option<String>,
}

/// What the hub says about a revision.
#[derive(Deserialize)]
struct Revision {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The hub and its cache.
pub struct Hub {
    config: HubConfig,
    client: Client,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub with these settings. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When the address or the token cannot be used.
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        let client = Client::new(&config)?;
        Ok(Self { config, client })
    }

    /// A hub as the environment says; see [`HubConfig::from_env`].
    ///
    /// # Errors
    ///
    /// When the environment's settings cannot be used.
    pub fn from_env() -> Result<Self, HubError> {
        Self::new(HubConfig::from_env()?)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// Brings a model's files into the cache, as far as they are not there, and says where they are.
    /// A commit hash whose files are all cached is not asked about; a branch or a tag is, unless the
    /// hub is offline. Where the hub can't be reached then, what the cache has of the branch or tag is
    /// taken, if that is complete, and [`Snapshot::unreached`] says so; so the hub is asked only once.
    ///
    /// # Errors
    ///
    /// When the model or a required file is not to be had. Nothing incomplete is left under its
    /// final name, and the next call goes on where this one stopped.
    pub fn fetch(
        &self,
        model: &ModelId,
        files: &FileSet,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        let cache = ModelCache::new(&self.config.cache, model);
        if self.config.offline {
            return self.cached(model, &cache, files);
        }
        if model.is_pinned() && cache.missing(model.revision(), files, true)?.is_none() {
            let commit = model.revision().to_owned();
            return Ok(Snapshot {
                dir: cache.snapshot(&commit),
                commit,
                unreached: None,
            });
        }

        let cached = self.cached(model, &cache, files).ok();
        let retries = if cached.is_some() {
            0
        } else {
            self.config.retries
        };
        let Revision {
            sha: commit,
            siblings,
        } = match (self.revision(model, retries), cached) {
            (Err(error), Some(cached)) if error.is_unreached() => {
                return Ok(Snapshot {
                    unreached: Some(error.to_string()),
                    ..cached
                });
            }
            (revision, _) => revision?,
        };
        let there: HashSet<String> = siblings
            .into_iter()
            .map(|sibling| sibling.rfilename)
            .collect();
        let fetch = Fetch {
            hub: self,
            model,
            cache: &cache,
            commit: &commit,
            there: &there,
        };
        let mut chosen = Vec::new();
        for choice in &files.0 {
            match choice.names.iter().find(|name| there.contains(*name)) {
                Some(name) => chosen.push(name),
                None if choice.required => {
                    let (what, names) = (choice.what.clone(), choice.names.clone());
                    return Err(HubError::NoneOf {
                        model: Box::new(model.clone()),
                        what,
                        names,
                    });
                }
                None => {
                    for name in &choice.names {
                        cache.note_absent(&commit, name);
                    }
                }
            }
        }
        for name in chosen {
            let path = fetch.file(name, progress)?;
            if is_index(name) {
                for shard in WeightIndex::read(&path)?.shards() {
                    fetch.file(shard, progress)?;
                }
            }
        }
        cache.note_commit(&commit);
        Ok(Snapshot {
            dir: cache.snapshot(&commit),
            commit,
            unreached: None,
        })
    }

    fn cached(
        &self,
        model: &ModelId,
        cache: &ModelCache,
        files: &FileSet,
    ) -> Result<Snapshot, HubError> {
        let commit = cache.commit();
        let missing = match &commit {
            Some(commit) => cache.missing(commit, files, false)?,
            None => files
                .0
                .iter()
                .find(|choice| choice.required)
                .map(|choice| choice.names.join(" or ")),
        };
        match (commit, missing) {
            (Some(commit), None) => Ok(Snapshot {
                dir: cache.snapshot(&commit),
                commit,
                unreached: None,
            }),
            (_, missing) => Err(HubError::NotCached {
                model: Box::new(model.clone()),
                file: missing.unwrap_or_else(|| "every file".to_owned()),
                cache: self.config.cache.clone(),
            }),
        }
    }

    /// The commit and the files of a revision; asked for once, and `retries` times more.
    fn revision(&self, model: &ModelId, retries: u32) -> Result<Revision, HubError> {
        let base = self.model_api(model);
        let url = format!(
            "{base}/revision/{}",
            utf8_percent_encode(model.revision(), IN_URL)
        );
        let text = match self.retrying(retries, || self.client.text(&url)) {
            Ok(text) => text,
            // Mirrors leave out which of the two is missing.
            Err((
                Failure::Status {
                    status: 404,
                    code: None,
                    ..
                },
                _,
            )) if self.client.text(&base).is_ok() => {
                return Err(HubError::RevisionNotFound {
                    model: Box::new(model.clone()),
                });
            }
            Err((failure, attempts)) => return Err(self.error(failure, attempts, model, None)),
        };
        let odd = |reason: String| HubError::Protocol {
            url: shown(&url),
            reason,
        };
        let revision: Revision = serde_json::from_str(&text).map_err(|e| odd(e.to_string()))?;
        // It becomes the name of a directory.
        if !is_commit_hash(&revision.sha) {
            return Err(odd(format!("{:?} is not a commit hash", revision.sha)));
        }
        Ok(revision)
    }

    fn model_api(&self, model: &ModelId) -> String {
        format!(
            "{}/api/models/{}",
            self.client.endpoint(),
            model.repository()
        )
    }

    fn retrying<T>(
        &self,
        retries: u32,
        attempt: impl Fn() -> Result<T, Failure>,
    ) -> Result<T, (Failure, u32)> {
        let mut retry = Retry::new(&self.config, retries);
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => retry
                    .pause(failure)
                    .map_err(|failure| (failure, retry.attempts()))?,
            }
        }
    }

    fn error(
        &self,
        failure: Failure,
        attempts: u32,
        model: &ModelId,
        file: Option<&str>,
    ) -> HubError {
        let model = Box::new(model.clone());
        let file = file.map(str::to_owned);
        match failure {
            Failure::Network { url, reason } => HubError::Network {
                url,
                reason,
                attempts,
            },
            Failure::Protocol { url, reason } => HubError::Protocol { url, reason },
            Failure::RateLimited { url, seconds } => HubError::RateLimited { url, seconds },
            Failure::Short { expected, found } => HubError::Truncated {
                model,
                file: file.unwrap_or_default(),
                expected,
                found,
                attempts,
            },
            Failure::Status {
                status: status @ (401 | 403),
                ..
            } => {
                let page = format!("{}/{}", shown(self.client.endpoint()), model.repository());
                HubError::Denied {
                    model,
                    file,
                    status,
                    token_given: self.client.sends_token(),
                    page,
                }
            }
            Failure::Status {
                status: 404, code, ..
            } => match (code.as_deref(), file) {
                (Some("RevisionNotFound"), _) => HubError::RevisionNotFound { model },
                (Some("EntryNotFound") | None, Some(file)) => {
                    HubError::FileNotFound { model, file }
                }
                _ => HubError::RepositoryNotFound {
                    repository: model.repository(),
                    endpoint: shown(self.client.endpoint()),
                },
            },
            Failure::Status { url, status, .. } => HubError::Status {
                url,
                status,
                attempts,
            },
        }
    }
}

/// The files of one commit.
struct Fetch<'a> {
    hub: &'a Hub,
    model: &'a ModelId,
    cache: &'a ModelCache,
    commit: &'a str,
    there: &'a HashSet<String>,
}

impl Fetch<'_> {
    fn file(
        &self,
        file: &str,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, HubError> {
        let Self {
            hub,
            model,
            cache,
            commit,
            there,
        } = self;
        if !there.contains(file) || !is_plain(file) {
            return Err(HubError::FileNotFound {
                model: Box::new((*model).clone()),
                file: file.to_owned(),
            });
        }
        let pointer = cache.snapshot(commit).join(file);
        if pointer.exists() {
            return Ok(pointer);
        }
        let error = |failure, attempts| hub.error(failure, attempts, model, Some(file));
        let path: Vec<String> = file
            .split('/')
            .map(|part| utf8_percent_encode(part, IN_URL).to_string())
            .collect();
        let url = format!(
            "{}/{}/resolve/{commit}/{}",
            hub.client.endpoint(),
            model.repository(),
            path.join("/")
        );
        let meta = hub
            .retrying(hub.config.retries, || hub.client.meta(&url))
            .map_err(|(failure, attempts)| error(failure, attempts))?;

        let blob = cache.blob(&meta.etag);
        let _lock = cache.lock(&meta.etag)?;
        if !is_whole(&blob, meta.size) {
            let request = |start| hub.client.bytes(&url, start);
            download(
                request,
                Retry::new(&hub.config, hub.config.retries),
                file,
                &meta,
                &blob,
                progress,
            )
            .map_err(|failed| match failed {
                Failed::Cache(error) => error,
                Failed::Server(failure, attempts) => error(failure, attempts),
                Failed::Damaged(reason) => HubError::Damaged {
                    model: Box::new((*model).clone()),
                    file: file.to_owned(),
                    reason,
                },
            })?;
        }
        cache.link(commit, file, &meta.etag)
    }
}

fn is_whole(blob: &Path, size: Option<u64>) -> bool {
    fs::metadata(blob)
        .is_ok_and(|found| found.is_file() && size.is_none_or(|size| size == found.len()))
}
