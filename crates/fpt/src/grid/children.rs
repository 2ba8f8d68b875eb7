//! Processes that must not outlive what started them.

use std::collections::HashMap;
use std::io;
use std::io::{BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

/// So long a process may take to write down what it has.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Running processes. Each has a pipe to its standard input: it is told to stop by the end of that, also where this
/// program is killed. Those that do not know of it get SIGTERM.
///
/// Each is a process group of its own: a signal from the terminal is for this program, which tells the others.
#[derive(Default)]
pub struct Children {
    running: Mutex<(usize, HashMap<usize, Running>)>,
    done: AtomicBool,
}

/// A process, and whether it is told to stop by SIGTERM, which goes to all of its group.
struct Running {
    child: Child,
    by_signal: bool,
}

/// A process that was started: its place among the [`Children`], and what it says.
pub(crate) struct Started {
    pub(crate) place: usize,
    pub(crate) stdout: ChildStdout,
    stderr: Option<ChildStderr>,
}

impl Started {
    /// Read its messages while somebody reads its output: a full pipe would stop it.
    pub(crate) fn messages(&mut self) -> JoinHandle<String> {
        let stderr = self.stderr.take();
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(stderr) = stderr {
                let _ = BufReader::new(stderr).read_to_string(&mut text);
            }
            text
        })
    }
}

impl Children {
    /// Do `work`, which starts processes. Once `is_stopped` says so they are told to stop: first as a request, and when
    /// they have had time, by force.
    pub(crate) fn during<T>(
        is_stopped: fn() -> bool,
        grace: Duration,
        work: impl FnOnce(&Self) -> T,
    ) -> T {
        /// Also where the work panics.
        struct Done<'a>(&'a Children);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.done.store(true, Ordering::SeqCst);
            }
        }
        let children = Self::default();
        std::thread::scope(|scope| {
            let done = Done(&children);
            scope.spawn(|| children.watch(is_stopped, grace));
            let outcome = work(&children);
            drop(done);
            outcome
        })
    }

    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<usize, Running>)> {
        // Whoever panicked left the list whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Start a program of ours, which stops at the end of its input.
    pub(crate) fn start(&self, command: &mut Command) -> anyhow::Result<Started> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(command, false)
    }

    /// Run a program of ours, which stops at the end of its input, to its end.
    pub(crate) fn output(&self, command: &mut Command) -> anyhow::Result<Output> {
        let mut started = self.start(command)?;
        let messages = started.messages();
        let mut stdout = Vec::new();
        started.stdout.read_to_end(&mut stdout)?;
        let status = self.wait(started.place)?;
        Ok(Output {
            status,
            stdout,
            stderr: messages.join().unwrap_or_default().into_bytes(),
        })
    }

    /// Run a program that does not know of us to its end: it is stopped by SIGTERM, with all that it has started. Its
    /// messages go where ours go.
    pub fn output_of_stranger(&self, command: &mut Command) -> anyhow::Result<Output> {
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let mut started = self.spawn(command, true)?;
        let mut stdout = Vec::new();
        started.stdout.read_to_end(&mut stdout)?;
        Ok(Output {
            status: self.wait(started.place)?,
            stdout,
            stderr: Vec::new(),
        })
    }

    fn spawn(&self, command: &mut Command, by_signal: bool) -> anyhow::Result<Started> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let program = || command.get_program().to_string_lossy().into_owned();
        let program = program();
        let mut child = (command.stdout(Stdio::piped()).spawn())
            .with_context(|| format!("failed to start {program}"))?;
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let (next, running) = &mut *self.lock();
        *next += 1;
        running.insert(*next, Running { child, by_signal });
        Ok(Started {
            place: *next,
            stdout: stdout.with_context(|| format!("the output of {program} is gone"))?,
            stderr,
        })
    }

    /// Wait until the process at `place`, which has closed its output, has ended.
    pub(crate) fn wait(&self, place: usize) -> anyhow::Result<ExitStatus> {
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
        let Running { child, .. } = running.get_mut(&place).context("a process is gone")?;
        let status = child.try_wait()?;
        if status.is_some() {
            running.remove(&place);
        }
        Ok(status)
    }

    fn watch(&self, is_stopped: fn() -> bool, grace: Duration) {
        let mut since = None;
        while !self.done.load(Ordering::SeqCst) {
            if is_stopped() {
                let since = *since.get_or_insert_with(Instant::now);
                for running in self.lock().1.values_mut() {
                    running.stop(since.elapsed() > grace);
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Running {
    /// Ask it to stop, once, or end it by force.
    fn stop(&mut self, by_force: bool) {
        drop(self.child.stdin.take());
        if std::mem::take(&mut self.by_signal) {
            self.signal(false);
        }
        if by_force {
            self.signal(true);
            // It may have ended just now.
            let _: io::Result<()> = self.child.kill();
        }
    }

    /// SIGTERM, or by force SIGKILL, to it and all that it has started.
    #[cfg(unix)]
    fn signal(&self, by_force: bool) {
        use rustix::process::{Pid, Signal, kill_process_group};

        let signal = if by_force { Signal::KILL } else { Signal::TERM };
        // Its number is its own as long as nobody has waited for it.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended just now.
            let _: rustix::io::Result<()> = kill_process_group(group, signal);
        }
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _by_force: bool) {
        let _: io::Result<()> = self.child.kill();
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const NEVER: fn() -> bool = || false;
    const AT_ONCE: fn() -> bool = || true;

    #[test]
    fn a_stop_is_first_a_request_and_then_none() {
        let stopped = |program: &str, arguments: &[&str], grace| {
            Children::during(AT_ONCE, grace, |children| {
                let output = children.output(Command::new(program).args(arguments));
                output.unwrap().status
            })
        };
        // It ends with its input.
        assert!(stopped("cat", &[], GRACE).success());
        // It does not.
        let status = stopped("sleep", &["1000"], Duration::from_millis(100));
        assert_eq!(status.signal(), Some(9));
    }

    /// As Cargo starts compilers: its output is open as long as they have it.
    #[test]
    fn what_a_child_has_started_ends_with_it() {
        static READY: AtomicBool = AtomicBool::new(false);
        let place = tempfile::tempdir().unwrap();
        let stopped = |before: &str, grace| {
            READY.store(false, Ordering::SeqCst);
            let ready = place.path().join("ready");
            let script = format!(
                "{before} touch '{}'; sleep 1000 & sleep 1000; true",
                ready.display()
            );
            let output = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !ready.exists() {
                        std::thread::sleep(LOOK);
                    }
                    READY.store(true, Ordering::SeqCst);
                });
                Children::during(
                    || READY.load(Ordering::SeqCst),
                    grace,
                    |children| {
                        children.output_of_stranger(Command::new("sh").args(["-c", &script]))
                    },
                )
            });
            std::fs::remove_file(ready).unwrap();
            output.unwrap().status.signal()
        };
        assert_eq!(stopped("", GRACE), Some(15));
        assert_eq!(
            stopped("trap '' TERM;", Duration::from_millis(100)),
            Some(9)
        );
    }

    #[test]
    fn children_are_left_alone_otherwise() {
        Children::during(NEVER, Duration::ZERO, |children| {
            let script = "sleep 0.2; echo said; echo told >&2";
            let output = children
                .output(Command::new("sh").args(["-c", script]))
                .unwrap();
            assert!(output.status.success());
            assert_eq!(
                (&output.stdout[..], &output.stderr[..]),
                (&b"said\n"[..], &b"told\n"[..])
            );
            let missing = children.output(&mut Command::new("./no such program"));
            assert!(missing.unwrap_err().to_string().contains("no such program"));
        });
    }
}
