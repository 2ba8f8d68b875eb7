//! A directory of this process, in memory where there is such a file system.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// A directory of this process. `run.sh` removes it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one for a target of this name.
    ///
    /// # Panics
    /// If it can't be created.
    pub fn new(target: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let below = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            env::temp_dir()
        };
        let name = format!("{target}-{}", process::id());
        let directory = below.join("fpt-fuzz").join(name);
        fs::create_dir_all(&directory).expect("a directory for files");
        Self(directory)
    }

    /// Of the file with this name in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and says where.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).expect("a directory for files");
        }
        fs::write(&path, content).expect("a file");
        path
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        _ = fs::remove_file(self.path(name));
    }
}
