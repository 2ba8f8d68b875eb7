//! Processes that must not outlive what started them.

use std::collections::HashMap;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use fpt::stop;

/// So long a process may take to write down what it has.
const GRACE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Running processes. Each has a pipe to its standard input: it is told to stop by the end of that, also where this
/// program is killed.
#[derive(Default)]
pub(super) struct Children {
    running: Mutex<(usize, HashMap<usize, Child>)>,
    done: AtomicBool,
}

impl Children {
    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<usize, Child>)> {
        // Whoever panicked left the list whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process was started. Returns its place.
    pub(super) fn add(&self, child: Child) -> usize {
        let (next, running) = &mut *self.lock();
        *next += 1;
        running.insert(*next, child);
        *next
    }

    /// Wait until the process at `place`, which has closed its output, has ended.
    pub(super) fn wait(&self, place: usize) -> anyhow::Result<ExitStatus> {
        loop {
            // Others may look meanwhile.
            let ended = self.look(place)?;
            if let Some(status) = ended {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&self, place: usize) -> anyhow::Result<Option<ExitStatus>> {
        let (_, running) = &mut *self.lock();
        let child = running.get_mut(&place).context("a process is gone")?;
        let status = child.try_wait()?;
        if status.is_some() {
            running.remove(&place);
        }
        Ok(status)
    }

    /// No process will be added.
    pub(super) fn done(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    /// Pass a stop on, until [`Children::done`]: first as a request, and when they have had time, by force.
    pub(super) fn watch(&self) {
        let mut since = None;
        while !self.done.load(Ordering::SeqCst) {
            if stop::is_asked() {
                let since = *since.get_or_insert_with(Instant::now);
                for child in self.lock().1.values_mut() {
                    drop(child.stdin.take());
                    if since.elapsed() > GRACE {
                        // It may have ended just now.
                        let _: io::Result<()> = child.kill();
                    }
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}
