//! The cache that all programs share. The names of its directories are `hf-hub`'s.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fpt_files::{ModelId, WeightIndex, create_parents, has_no_locks, is_commit_hash, is_index};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::error::HubError;
use crate::files::FileSet;

/// One model in the cache.
pub(crate) struct ModelCache {
    root: PathBuf,
    folder: String,
    revision: String,
    repo: CacheRepo,
}

impl ModelCache {
    pub(crate) fn new(root: &Path, model: &ModelId) -> Self {
        let repo = Repo::with_revision(
            model.repository(),
            RepoType::Model,
            model.revision().to_owned(),
        );
        Self {
            root: root.to_owned(),
            folder: repo.folder_name(),
            revision: model.revision().to_owned(),
            repo: Cache::new(root.to_owned()).repo(repo),
        }
    }

    /// The commit that the revision stood for when it was last fetched.
    pub(crate) fn commit(&self) -> Option<String> {
        if is_commit_hash(&self.revision) {
            return Some(self.revision.clone());
        }
        let commit = fs::read_to_string(self.reference()).ok()?;
        let commit = commit.trim();
        is_commit_hash(commit).then(|| commit.to_owned())
    }

    /// Notes which commit the revision stands for, so that it is known without the hub. In a cache that belongs to somebody
    /// else, who may have put all files there, there is no such note.
    pub(crate) fn note_commit(&self, commit: &str) {
        if self.revision == commit || self.commit().as_deref() == Some(commit) {
            return;
        }
        let path = self.reference();
        let _ = create_parents(&path).and_then(|()| fpt_files::write(&path, commit));
    }

    /// The file that says which commit the revision stands for.
    fn reference(&self) -> PathBuf {
        self.root
            .join(&self.folder)
            .join("refs")
            .join(&self.revision)
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.pointer_path(commit)
    }

    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join(&self.folder).join("blobs").join(etag)
    }

    /// Waits until no other program downloads this blob. The lock goes with the returned file.
    pub(crate) fn lock(&self, etag: &str) -> Result<File, HubError> {
        let path = self
            .root
            .join(".locks")
            .join(&self.folder)
            .join(format!("{etag}.lock"));
        create_parents(&path)?;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error(&path))?;
        match file.lock() {
            // Some network file systems have no locks; the Python library goes on without as well.
            Err(e) if !has_no_locks(&e) => Err(HubError::Io { path, source: e }),
            _ => Ok(file),
        }
    }

    /// Gives a blob its name in a snapshot.
    pub(crate) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf, HubError> {
        let pointer = self.snapshot(commit).join(file);
        create_parents(&pointer)?;
        if fs::symlink_metadata(&pointer).is_ok() {
            fs::remove_file(&pointer).map_err(io_error(&pointer))?;
        }
        let up = "../".repeat(2 + Path::new(file).components().count() - 1);
        let blob = self.blob(etag);
        if symlink(Path::new(&format!("{up}blobs/{etag}")), &pointer).is_err()
            && fs::hard_link(&blob, &pointer).is_err()
        {
            fs::copy(&blob, &pointer).map_err(io_error(&pointer))?;
        }
        Ok(pointer)
    }

    /// Notes that a commit has no such file, so that it need not be asked again. Where that can't be written, it will be.
    pub(crate) fn note_absent(&self, commit: &str, file: &str) {
        let path = self.absent(commit, file);
        if create_parents(&path).is_ok() {
            let _ = File::create(&path);
        }
    }

    fn absent(&self, commit: &str, file: &str) -> PathBuf {
        self.root
            .join(&self.folder)
            .join(".no_exist")
            .join(commit)
            .join(file)
    }

    /// What the snapshot lacks of these files, if anything. Optional files count when the hub has
    /// not been asked for them.
    pub(crate) fn missing(
        &self,
        commit: &str,
        files: &FileSet,
        optional: bool,
    ) -> Result<Option<String>, HubError> {
        let snapshot = self.snapshot(commit);
        for choice in &files.0 {
            match choice
                .names
                .iter()
                .find(|name| snapshot.join(name).exists())
            {
                Some(name) if is_index(name) => {
                    let index = WeightIndex::read(snapshot.join(name))?;
                    let mut shards = index.shards().into_iter();
                    if let Some(shard) = shards.find(|shard| !snapshot.join(shard).exists()) {
                        return Ok(Some(shard.to_owned()));
                    }
                }
                Some(_) => {}
                None if choice.required => return Ok(Some(choice.names.join(" or "))),
                None => {
                    let unknown = choice
                        .names
                        .iter()
                        .find(|name| !self.absent(commit, name).exists());
                    if let (true, Some(name)) = (optional, unknown) {
                        return Ok(Some(name.clone()));
                    }
                }
            }
        }
        Ok(None)
    }
}

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Io { path, source }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Windows reserves symbolic links to administrators and developers.
#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
