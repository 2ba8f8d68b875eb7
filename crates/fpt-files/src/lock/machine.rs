//! Where this process runs, as far as can be told: which machine, since which start of it, and in which container.

use std::fs;
use std::sync::OnceLock;

/// A machine that runs, and a container on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Its name, of letters that a text of ours may have.
    pub(super) host: String,
    /// Which kernel, since which start: another one has locks of its own. [`UNKNOWN`] where the system does not tell.
    pub(super) kernel: String,
    /// In which space of process numbers: those of a container are its own.
    pub(super) space: String,
}

/// What the system does not tell.
pub(super) const UNKNOWN: &str = "-";
/// Host names have at most as many characters.
const LONGEST: usize = 64;
/// Of a random number in hexadecimal digits.
const DIGITS: usize = 8;

impl Machine {
    /// Where this process runs.
    pub(super) fn here() -> &'static Self {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(|| Self {
            host: plain(&host()),
            kernel: plain(&kernel()),
            space: plain(&space()),
        })
    }

    /// Whether a lock of the system is one for both.
    pub(super) fn shares_locks(&self, other: &Self) -> bool {
        self.host == other.host && self.kernel == other.kernel
    }

    /// Whether a number is that of the same process to both. Where that is not told, it is not.
    pub(super) fn shares_processes(&self, other: &Self) -> bool {
        self == other && self.kernel != UNKNOWN && self.space != UNKNOWN
    }
}

/// A word without what separates words.
fn plain(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let word: String = text.trim().chars().take(LONGEST).map(plain).collect();
    if word.is_empty() {
        UNKNOWN.into()
    } else {
        word
    }
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    UNKNOWN.into()
}

/// Linux draws a number at each start.
fn kernel() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().take(DIGITS).collect()
}

/// Linux numbers them, `pid:[4026531836]`.
fn space() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits = |c: &char| c.is_ascii_digit();
    link.to_string_lossy().chars().filter(digits).collect()
}

/// Whether a process of this machine and container is there. In doubt it is.
#[cfg(unix)]
pub(super) fn is_alive(process: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    let number = i32::try_from(process).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| test_kill_process(number) != Err(Errno::SRCH))
}

#[cfg(not(unix))]
pub(super) fn is_alive(_process: u32) -> bool {
    true
}
