//! One file from the hub into the cache.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fpt_files::{Fingerprint, create_parents, is_sha256};
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use crate::cache::io_error;
use crate::error::HubError;
use crate::http::{Failure, FileMeta, Reply, Retry, shown};

/// A download that got on by this much may fail as often as a new one.
const HEADWAY: u64 = 1 << 20;
const CHUNK: usize = 1 << 17;

/// How far the download of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name in the repository.
    pub file: &'a str,
    /// The bytes that are here. Not zero at first when an interrupted download goes on; less than
    /// before when a damaged one begins anew.
    pub done: u64,
    /// The size, when the server tells.
    pub total: Option<u64>,
}

/// Why a download came to nothing.
pub(crate) enum Failed {
    Server(Failure, u32),
    Damaged(String),
    Cache(HubError),
}

impl From<HubError> for Failed {
    fn from(error: HubError) -> Self {
        Self::Cache(error)
    }
}

/// Downloads into `blob` by way of `blob.incomplete`, which a later call takes up when this one
/// fails. Under its final name the file is whole and checked.
pub(crate) fn download(
    request: impl Fn(u64) -> Result<Reply, Failure>,
    mut retry: Retry<'_>,
    file: &str,
    meta: &FileMeta,
    blob: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Failed> {
    let mut partial = Partial::open(incomplete(blob))?;
    let mut total = meta.size;
    let mut damaged = false;
    loop {
        let before = partial.len;
        progress(Progress {
            file,
            done: before,
            total,
        });
        match receive(&request, &mut partial, &mut total, file, progress)? {
            Ok(()) => match partial.check(meta, total) {
                Ok(()) => break,
                Err(reason) if damaged => {
                    partial.remove()?;
                    return Err(Failed::Damaged(reason));
                }
                // Perhaps what an earlier run left is to blame.
                Err(_) => {
                    damaged = true;
                    partial.restart()?;
                }
            },
            Err(failure) => {
                if partial.len >= before.saturating_add(HEADWAY) {
                    retry.forget();
                }
                retry
                    .pause(failure)
                    .map_err(|failure| Failed::Server(failure, retry.attempts()))?;
            }
        }
    }
    Ok(partial.finish(blob)?)
}

/// One request, as far as it goes.
fn receive(
    request: &impl Fn(u64) -> Result<Reply, Failure>,
    partial: &mut Partial,
    total: &mut Option<u64>,
    file: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Result<(), Failure>, HubError> {
    if total.is_some_and(|total| partial.len >= total) {
        return Ok(Ok(()));
    }
    let reply = match request(partial.len) {
        Ok(reply) => reply,
        Err(Failure::Status { status: 416, .. }) => {
            // The server has no more: what is here, or the expected size, is wrong.
            let found = partial.len;
            partial.restart()?;
            return Ok(Err(Failure::Short {
                expected: total.unwrap_or(found),
                found,
            }));
        }
        Err(failure) => return Ok(Err(failure)),
    };
    let size = if reply.response.status() == StatusCode::PARTIAL_CONTENT {
        let range = reply.header(&CONTENT_RANGE).and_then(content_range);
        match range {
            Some((start, size)) if start == partial.len => size,
            _ => {
                partial.restart()?;
                let reason =
                    "the server sent another part of the file than was asked for".to_owned();
                return Ok(Err(Failure::Network {
                    url: shown(&reply.url),
                    reason,
                }));
            }
        }
    } else {
        partial.restart()?;
        reply
            .header(&CONTENT_LENGTH)
            .and_then(|length| length.parse().ok())
    };
    *total = total.or(size);

    let url = reply.url;
    let mut body = reply.response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => partial.append(&chunk[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && total.is_some() => break,
            Err(e) => {
                return Ok(Err(Failure::Network {
                    url: shown(&url),
                    reason: e.to_string(),
                }));
            }
        }
        progress(Progress {
            file,
            done: partial.len,
            total: *total,
        });
        if total.is_some_and(|total| partial.len > total) {
            break;
        }
    }
    Ok(match *total {
        Some(expected) if partial.len < expected => Err(Failure::Short {
            expected,
            found: partial.len,
        }),
        _ => Ok(()),
    })
}

/// Start and full size of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()))
}

/// Where a blob is while it is not whole. The Python library continues these files too.
fn incomplete(blob: &Path) -> PathBuf {
    let mut name = blob.as_os_str().to_owned();
    name.push(".incomplete");
    name.into()
}

struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    digest: Fingerprint,
}

impl Partial {
    fn open(path: PathBuf) -> Result<Self, HubError> {
        create_parents(&path)?;
        let open = || -> io::Result<(File, u64, Fingerprint)> {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            let mut digest = Fingerprint::new();
            digest.reader(&mut file)?;
            let len = file.stream_position()?;
            Ok((file, len, digest))
        };
        let (file, len, digest) = open().map_err(io_error(&path))?;
        Ok(Self {
            path,
            file,
            len,
            digest,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(io_error(&self.path))?;
        self.digest.bytes(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(io_error(&self.path))?;
        self.len = 0;
        self.digest = Fingerprint::new();
        Ok(())
    }

    fn check(&self, meta: &FileMeta, total: Option<u64>) -> Result<(), String> {
        if let Some(total) = total.filter(|&total| total != self.len) {
            return Err(format!(
                "it should have {total} bytes, but {} came",
                self.len
            ));
        }
        if is_sha256(&meta.etag) {
            let found = self.digest.hex();
            if found != meta.etag {
                return Err(format!(
                    "its SHA-256 should be {}, but is {found}",
                    meta.etag
                ));
            }
        }
        Ok(())
    }

    fn remove(self) -> Result<(), HubError> {
        drop(self.file);
        fs::remove_file(&self.path).map_err(io_error(&self.path))
    }

    fn finish(self, blob: &Path) -> Result<(), HubError> {
        self.file.sync_all().map_err(io_error(&self.path))?;
        drop(self.file);
        fs::rename(&self.path, blob).map_err(io_error(blob))
    }
}
