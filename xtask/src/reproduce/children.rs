//! Processes that must not outlive what started them.

use std::collections::HashMap;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
/// So long a process may take to write down what it has.
pub(super) const GRACE: Duration = Duration::from_secs(60);
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

    /// Once `is_stopped` says so pass a stop on, until [`Children::done`]: first as a request, and when they have had
    /// time, by force.
    pub(super) fn watch(&self, is_stopped: fn() -> bool, grace: Duration) {
        let mut since = None;
        while !self.done.load(Ordering::SeqCst) {
            if is_stopped() {
                let since = *since.get_or_insert_with(Instant::now);
                for child in self.lock().1.values_mut() {
                    drop(child.stdin.take());
                    if since.elapsed() > grace {
                        // It may have ended just now.
                        let _: io::Result<()> = child.kill();
                    }
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// How a child ends that is told to stop at once.
    fn stopped(program: &str, arguments: &[&str], grace: Duration) -> ExitStatus {
        let children = Children::default();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn();
        let place = children.add(child.unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| children.watch(|| true, grace));
            let status = children.wait(place).unwrap();
            children.done();
            status
        })
    }

    #[test]
    fn a_stop_is_first_a_request_and_then_none() {
        // It ends with its input.
        assert!(stopped("cat", &[], GRACE).success());
        // It does not.
        let status = stopped("sleep", &["1000"], Duration::from_millis(100));
        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn children_are_left_alone_otherwise() {
        let children = Children::default();
        let child = Command::new("cat").stdin(Stdio::piped()).spawn();
        let place = children.add(child.unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| children.watch(|| false, Duration::ZERO));
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(children.look(place).unwrap(), None);
            drop(children.lock().1.get_mut(&place).unwrap().stdin.take());
            assert!(children.wait(place).unwrap().success());
            children.done();
        });
    }
}
