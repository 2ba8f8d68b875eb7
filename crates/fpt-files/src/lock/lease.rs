//! That a lock's file says again and again that this process holds it, and how the process finds that it does no longer.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::heart;
use super::machine::Machine;
use super::pace::BEAT;
use super::text::{self, Said, Who};
use crate::FileError;

/// That this process holds a lock, as its file says. A process that was suspended for long may have lost it to another.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Held>);

/// What a lease is about.
#[derive(Debug)]
pub(super) struct Held {
    who: Who,
    /// Where the file is, or will be: directories get other names.
    places: Mutex<Vec<PathBuf>>,
    beats: AtomicU64,
    /// Whether it was let go of; a beat that has begun comes before that or not at all.
    ended: Mutex<bool>,
    /// When the file was last seen to be ours.
    seen: Mutex<Instant>,
    /// Who has it now.
    lost: OnceLock<String>,
}

impl Lease {
    /// Of a file that says this already. It beats from now on.
    pub(super) fn new(who: Who, path: &Path) -> Self {
        let held = Arc::new(Held {
            who,
            places: Mutex::new(vec![path.to_path_buf()]),
            beats: AtomicU64::new(0),
            ended: Mutex::new(false),
            seen: Mutex::new(Instant::now()),
            lost: OnceLock::new(),
        });
        heart::add(&held);
        Self(held)
    }

    /// Whether another process has the lock. This costs nothing: the file is looked at only where it was not for some
    /// beats, as after the process was suspended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let is_recent = || lock(&self.0.seen).elapsed() < 2 * BEAT;
        self.0.lost.get().is_some()
            || !is_recent() && matches!(self.0.look(false, &nothing), Ok(Some(_)))
    }

    /// Who has the lock instead of this process, by the file as it is now.
    ///
    /// # Errors
    /// [`FileError::Read`] if it can't be told.
    pub fn new_holder(&self) -> Result<Option<String>, FileError> {
        let path = lock(&self.0.places).first().cloned().unwrap_or_default();
        self.0.look(false, &nothing).map_err(FileError::read(&path))
    }

    /// The file may lie at `path` too from now on.
    pub(super) fn is_at(&self, path: PathBuf) {
        lock(&self.0.places).push(path);
    }

    /// Whether the file at `path` says that this process holds it.
    pub(super) fn wrote(&self, path: &Path) -> bool {
        text::read_at(path).is_ok_and(|text| self.0.is_mine(&text))
    }

    /// Beat no more, as a process that is suspended.
    #[cfg(test)]
    pub(super) fn suspend(&self) {
        heart::remove(&self.0);
    }

    /// Let go of it, and say so.
    pub(super) fn end(&self) {
        heart::remove(&self.0);
        let mut ended = lock(&self.0.ended);
        *ended = true;
        // Others find out by waiting where that fails.
        let left = |file: &File, text: &str| text::write(file, &self.0.who.left(), text.len());
        let _ = self.0.look(true, &left);
    }
}

fn nothing(_: &File, _: &str) -> io::Result<()> {
    Ok(())
}

impl Held {
    /// Say that the process is there.
    pub(super) fn beat(&self) {
        let ended = lock(&self.ended);
        if *ended {
            return;
        }
        let beats = self.beats.fetch_add(1, Ordering::Relaxed) + 1;
        let say = |file: &File, text: &str| text::write(file, &self.who.holds(beats), text.len());
        // A failure may pass. Else the lock is lost, and the file says so then.
        let _ = self.look(true, &say);
    }

    fn is_mine(&self, text: &str) -> bool {
        matches!(Said::of(text), Said::Held(who) if who == self.who)
    }

    /// Look whether the file is still ours, and do something to it if it is. It is opened for that, and closed: so a network
    /// file system shows what is there, and shows others what is written. Who has the lock, if not we.
    ///
    /// Should another process put its own file in the place of ours meanwhile, what is written goes to none.
    fn look(
        &self,
        write: bool,
        then: &dyn Fn(&File, &str) -> io::Result<()>,
    ) -> io::Result<Option<String>> {
        if let Some(holder) = self.lost.get() {
            return Ok(Some(holder.clone()));
        }
        let mut holder = None;
        // A directory moves from the first place to the last, so that this finds it.
        let places = lock(&self.places).clone();
        for place in places {
            let file = match File::options().read(true).write(write).open(&place) {
                Ok(file) => file,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(error),
            };
            let text = text::read(&file)?;
            if self.is_mine(&text) {
                then(&file, &text)?;
                *lock(&self.seen) = Instant::now();
                return Ok(None);
            }
            holder = Some(Said::of(&text).name(Machine::here()));
        }
        let holder = holder.unwrap_or_else(|| "nobody (the lock is gone)".into());
        Ok(Some(self.lost.get_or_init(|| holder).clone()))
    }
}

/// Whether there is no such file.
pub(super) fn is_absent(error: &io::Error) -> bool {
    [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind())
}

/// A thread that panicked left it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
