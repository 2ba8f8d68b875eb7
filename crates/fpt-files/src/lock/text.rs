//! What a lock's file says: who holds it, and its beat.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::machine::Machine;

/// Before the number of a process.
pub(super) const HOLDER: &str = "process ";
const HOST: &str = " on host ";
const BEAT: &str = ", beat ";
const LEFT: &str = ", left";

/// One holding of a lock by one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    process: u32,
    machine: Machine,
    /// Tells it from every other, also of a process with the same number.
    mark: String,
}

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: whoever made the file is about to write it, or was killed before.
    Nothing,
    /// A process, but not where; older versions of this program wrote so, and never again.
    Process(String),
    /// Who holds it.
    Held(Who),
    /// Who held it, and let go of it.
    Left(Who),
    /// Something else.
    Other(String),
}

impl Who {
    /// This process, now.
    pub(super) fn now(machine: &Machine) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        Self {
            process: std::process::id(),
            machine: machine.clone(),
            mark: format!("{now:x}-{number}"),
        }
    }

    pub(super) fn process(&self) -> u32 {
        self.process
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// As messages call it.
    pub(super) fn name(&self, here: &Machine) -> String {
        let Self {
            process, machine, ..
        } = self;
        if !machine.shares_locks(here) {
            format!("{HOLDER}{process}{HOST}{}", machine.host)
        } else if machine.space != here.space {
            format!("{HOLDER}{process} of another container")
        } else {
            format!("{HOLDER}{process}")
        }
    }

    /// The text after so many beats.
    pub(super) fn holds(&self, beats: u64) -> String {
        format!("{self}{BEAT}{beats}\n")
    }

    /// The text of one that lets go.
    pub(super) fn left(&self) -> String {
        format!("{self}{LEFT}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let (process, text) = text.split_once(HOST)?;
        let (host, text) = text.split_once(" (")?;
        let mut words = text.strip_suffix(')')?.split('/');
        let mut word = || words.next().map(str::to_owned);
        let (kernel, space, mark) = (word()?, word()?, word()?);
        Some(Self {
            process: process.parse().ok()?,
            machine: Machine {
                host: host.into(),
                kernel,
                space,
            },
            mark,
        })
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            process,
            machine,
            mark,
        } = self;
        let Machine {
            host,
            kernel,
            space,
        } = machine;
        write!(f, "{HOLDER}{process}{HOST}{host} ({kernel}/{space}/{mark})")
    }
}

impl Said {
    pub(super) fn of(text: &str) -> Self {
        // Where a shorter text is being written over a longer one there is more.
        let line = text.lines().next().unwrap_or_default().trim_end();
        if line.is_empty() {
            return Self::Nothing;
        }
        let Some(rest) = line.strip_prefix(HOLDER) else {
            return Self::Other(line.into());
        };
        if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::Process(line.into());
        }
        let held = rest.rsplit_once(BEAT).and_then(|(who, _)| Who::parse(who));
        let left = || rest.strip_suffix(LEFT).and_then(Who::parse).map(Self::Left);
        (held.map(Self::Held))
            .or_else(left)
            .unwrap_or_else(|| Self::Other(line.into()))
    }

    /// Whom messages name.
    pub(super) fn name(&self, here: &Machine) -> String {
        match self {
            Self::Nothing => "another process".into(),
            Self::Process(name) | Self::Other(name) => name.clone(),
            Self::Held(who) | Self::Left(who) => who.name(here),
        }
    }
}

/// The text of an open file, from its beginning.
pub(super) fn read(file: &File) -> io::Result<String> {
    /// None of ours is as long.
    const LONGEST: u64 = 1024;
    let mut file = file;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of the file that is at `path` now. A network file system shows what is there when a file is opened.
pub(super) fn read_at(path: &Path) -> io::Result<String> {
    read(&File::open(path)?)
}

/// Replace the text of an open file, which has so many bytes. At no moment is there none.
pub(super) fn write(file: &File, text: &str, bytes: usize) -> io::Result<()> {
    let mut file = file;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    if bytes > text.len() {
        file.set_len(text.len() as u64)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_who() {
        let here = Machine::here();
        let who = Who::now(here);
        let there = Who {
            machine: Machine {
                host: "n1".into(),
                ..here.clone()
            },
            ..who.clone()
        };
        for who in [who.clone(), there.clone()] {
            assert_eq!(Said::of(&who.holds(7)), Said::Held(who.clone()));
            // Half written over a longer one.
            let longer = format!("{}eat 1234\n", who.left());
            assert_eq!(Said::of(&longer), Said::Left(who));
        }
        let number = std::process::id();
        assert_eq!(who.name(here), format!("process {number}"));
        assert_eq!(there.name(here), format!("process {number} on host n1"));
        let container = Who {
            machine: Machine {
                space: "7".into(),
                ..here.clone()
            },
            ..who.clone()
        };
        assert!(container.name(here).ends_with("of another container"));
        assert_eq!(Said::of("process 12\n"), Said::Process("process 12".into()));
        assert_eq!(Said::of(""), Said::Nothing);
        for other in [
            "process x",
            "mine",
            "process 1 on host a (b), beat 1",
            "process ",
        ] {
            assert_eq!(Said::of(other), Said::Other(other.trim_end().into()));
        }
    }
}
