//! Locks that others may have.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::flock::{Flock, TryLock, flock};
use super::judge::{Judgement, Known};
use super::lease::{Lease, is_absent};
use super::machine::Machine;
use super::pace::Pace;
use super::text::{self, Said, Who};
use super::{LOCK, Lock, Owner, is_at};
use crate::{FileError, remove_stale, whole};

/// Between two looks at a lock, at first and later: each is some questions to a server.
const LOOKS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// Waits of less are not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// A look at a lock, again and again, until it can be had.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    means: Means,
    seen: Option<Seen>,
}

/// What is needed to judge locks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    pub(super) pace: Pace,
    pub(super) try_lock: TryLock,
    pub(super) here: &'static Machine,
}

/// A text, and since when it has been there; whether there was another before.
#[derive(Debug)]
struct Seen {
    text: String,
    since: Instant,
    moved: bool,
}

/// Why [`Watch::wait`] is waiting.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// For whom.
    pub process: &'a str,
    /// It is worth a word now, and was not before; within the time it is known whether the process is gone, if that is in
    /// doubt.
    pub news: Option<Option<Duration>>,
    /// How long nothing was heard of it.
    pub silent: Duration,
}

impl std::fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waiting for {}", self.process)?;
        match self.news {
            Some(Some(left)) => write!(f, ", which may be gone: up to {} s", left.as_secs() + 1),
            _ => Ok(()),
        }
    }
}

impl Default for Means {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            try_lock: File::try_lock,
            here: Machine::here(),
        }
    }
}

impl Watch {
    /// Of the lock of a directory.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self::of_file(directory.as_ref().join(LOCK))
    }

    /// Of a lock that is the file `path`.
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), Means::default())
    }

    pub(super) fn with(path: PathBuf, means: Means) -> Self {
        Self {
            path,
            means,
            seen: None,
        }
    }

    /// With another pace, as tests want it.
    #[must_use]
    pub fn at(mut self, pace: Pace) -> Self {
        self.means.pace = pace;
        self
    }

    /// Take the lock if there is one, and it can be had now.
    ///
    /// # Errors
    /// [`FileError::Write`] of the lock.
    pub fn take_existing(&mut self) -> Result<Owner, FileError> {
        self.attempt(false).map_err(FileError::write(&self.path))
    }

    /// Take the lock if it can be had now; it is made where there is none.
    ///
    /// # Errors
    /// [`FileError::Write`] of the lock.
    pub fn take(&mut self) -> Result<Owner, FileError> {
        self.attempt(true).map_err(FileError::write(&self.path))
    }

    /// `take` the lock again and again until it can be had, or its process was there for as long as `patience` lets it. One
    /// that may be gone is waited for until that is known. This ends earlier when `goes_on` says so, which hears of each look.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn wait(
        &mut self,
        patience: Duration,
        take: fn(&mut Self) -> Result<Owner, FileError>,
        goes_on: &mut dyn FnMut(&Waiting<'_>) -> bool,
    ) -> Result<Owner, FileError> {
        let start = Instant::now();
        let mut told = false;
        loop {
            let owner = take(self)?;
            let waited = start.elapsed();
            let (process, left) = match &owner {
                Owner::Nobody(_) => return Ok(owner),
                Owner::Process(_) if waited >= patience => return Ok(owner),
                Owner::Process(process) => (process, None),
                Owner::Unheard { process, left } => (process, Some(*left)),
            };
            let is_news = !told && waited >= WORTH_A_WORD;
            told |= is_news;
            let waiting = Waiting {
                process,
                news: is_news.then_some(left),
                silent: self
                    .seen
                    .as_ref()
                    .map_or(Duration::ZERO, |seen| seen.since.elapsed()),
            };
            if !goes_on(&waiting) {
                return Ok(owner);
            }
            thread::sleep((waited / 20).clamp(LOOKS[0], LOOKS[1]));
        }
    }

    /// Who has the lock, without taking it: whoever asks keeps others from it, if the system can, for as long as the value
    /// lives.
    pub(super) fn owner(&mut self) -> io::Result<Owner> {
        // Network file systems want to lock only what may be written.
        let Some(file) = self.open()? else {
            return Ok(Owner::Nobody(None));
        };
        let (judgement, _) = self.look(&file)?;
        Ok(match judgement {
            Judgement::Held(process) => Owner::Process(process),
            Judgement::Unheard(process, left) => Owner::Unheard { process, left },
            // The directory may have been replaced between the two calls: then its lock is another file.
            _ if !is_at(&file, &self.path) => Owner::Process("another process".into()),
            _ => Owner::Nobody(Some(Lock { file, lease: None })),
        })
    }

    fn open(&self) -> io::Result<Option<File>> {
        match File::options().read(true).write(true).open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn attempt(&mut self, make: bool) -> io::Result<Owner> {
        let another = Owner::Process("another process".into());
        let Some(file) = self.open()? else {
            if !make {
                return Ok(Owner::Nobody(None));
            }
            return match created(&self.path, self.means) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(another),
                made => Ok(made?.map_or(another, |lock| Owner::Nobody(Some(lock)))),
            };
        };
        let (judgement, text) = self.look(&file)?;
        let taken = match judgement {
            Judgement::Held(process) => return Ok(Owner::Process(process)),
            Judgement::Unheard(process, left) => return Ok(Owner::Unheard { process, left }),
            _ if !is_at(&file, &self.path) => None,
            Judgement::Free => named(file, text.len(), &self.path, self.means)?,
            Judgement::Forsaken => self.replaced(&file, &text, false)?,
            Judgement::Old => self.replaced(&file, &text, true)?,
        };
        Ok(taken.map_or(another, |lock| Owner::Nobody(Some(lock))))
    }

    /// Judge an open file of a lock, and tell its text.
    fn look(&mut self, file: &File) -> io::Result<(Judgement, String)> {
        let flock = flock(file, self.means.try_lock)?;
        let text = match text::read(file) {
            Ok(text) => text,
            // On some systems nobody else may read what is locked.
            Err(_) if flock == Flock::Held => String::new(),
            Err(error) => return Err(error),
        };
        let modified = file.metadata().and_then(|data| data.modified());
        let (silent, moved) = self.see(&text);
        let known = Known {
            flock,
            said: &Said::of(&text),
            silent,
            moved,
            age: modified.ok().and_then(|time| time.elapsed().ok()),
        };
        Ok((known.judge(self.means.here, self.means.pace), text))
    }

    /// How long the text has been this, and whether it was another.
    fn see(&mut self, text: &str) -> (Duration, bool) {
        match &self.seen {
            Some(seen) if seen.text == text => {}
            before => {
                self.seen = Some(Seen {
                    text: text.to_owned(),
                    since: Instant::now(),
                    moved: before.is_some(),
                });
            }
        }
        let seen = self.seen.as_ref();
        seen.map_or((Duration::ZERO, false), |seen| {
            (seen.since.elapsed(), seen.moved)
        })
    }

    /// Put a file of this process in the place of `file`, whose `text` was judged. Others may do so at the same moment: who
    /// was the last has the lock, which shows when none comes any more. Whoever comes later than that finds a new text. If
    /// one was stopped in between, the process that it took the lock from finds it lost ([`Lease`]). If the file `must_be_old`,
    /// it is compared with the new one: both have their times from the file system.
    fn replaced(&self, held: &File, text: &str, must_be_old: bool) -> io::Result<Option<Lock>> {
        let Means {
            pace,
            try_lock,
            here,
        } = self.means;
        let (before, _) = whole::around(&self.path);
        // What those left that were killed here.
        remove_stale(whole::directory(&self.path), pace.dead, |of| {
            before == format!(".{of}.")
        });
        let mine = whole::temporary(&self.path)?;
        let who = Who::now(here);
        text::write(mine.as_file(), &who.holds(0), 0)?;
        flock(mine.as_file(), try_lock)?;
        let modified = |file: &File| file.metadata().and_then(|data| data.modified());
        let age = modified(mine.as_file())?.duration_since(modified(held)?);
        if must_be_old && !age.is_ok_and(|age| age > pace.dead) {
            return Ok(None);
        }
        match text::read_at(&self.path) {
            Ok(now) if now == text => {}
            Ok(_) => return Ok(None),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let file = mine.persist(&self.path)?;
        let lease = Lease::new(who, &self.path);
        thread::sleep(pace.settle);
        let lock = Lock {
            file,
            lease: Some(lease.clone()),
        };
        let holder = lease.new_holder().map_err(io::Error::other)?;
        Ok(holder.is_none().then_some(lock))
    }
}

/// A lock that is new. None if another process removes it, or has it already.
pub(super) fn created(path: &Path, means: Means) -> io::Result<Option<Lock>> {
    /// Whoever looks at it before it says whose it is lets go of it at once.
    const LOOKS_OF_OTHERS: usize = 200;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    for _ in 0..LOOKS_OF_OTHERS {
        match flock(&file, means.try_lock) {
            Ok(Flock::Held) if is_at(&file, path) => thread::sleep(Duration::from_millis(1)),
            Ok(Flock::Held) => return Ok(None),
            Ok(_) => return named(file, 0, path, means),
            Err(error) => {
                // It would be in the way of the next.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
        }
    }
    Ok(None)
}

/// Write into the file of a lock, of so many bytes, that this process has it. None if it has it no longer.
fn named(file: File, bytes: usize, path: &Path, means: Means) -> io::Result<Option<Lock>> {
    let who = Who::now(means.here);
    if let Err(error) = text::write(&file, &who.holds(0), bytes) {
        if bytes == 0 {
            let _ = std::fs::remove_file(path);
        }
        return Err(error);
    }
    let lock = Lock {
        file,
        lease: Some(Lease::new(who, path)),
    };
    // Another machine may have replaced it meanwhile.
    let is_ours = lock.lease().is_some_and(|lease| lease.wrote(path));
    Ok(is_ours.then_some(lock))
}
