//! Whether a lock can be had, by all that is known of it.

use std::time::Duration;

use super::flock::Flock;
use super::machine::{Machine, is_alive};
use super::pace::Pace;
use super::text::Said;

/// What is known of a lock.
pub(super) struct Known<'a> {
    pub(super) flock: Flock,
    pub(super) said: &'a Said,
    /// How long its text was seen to stay the same.
    pub(super) silent: Duration,
    /// Whether it was seen to change.
    pub(super) moved: bool,
    /// How old the file is, by the clocks of two machines.
    pub(super) age: Option<Duration>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is nobody's, and the system's lock keeps all others from it.
    Free,
    /// It is nobody's, but others may take it at the same moment, as the system's lock may be one of each machine.
    Forsaken,
    /// The same, if the file is as old as it seems by this machine's clock.
    Old,
    /// A process has it.
    Held(String),
    /// A process has it that may be gone: that shows within this time.
    Unheard(String, Duration),
}

impl Known<'_> {
    /// Locks of the system are believed where they are of the same machine. Others are believed where they say that
    /// somebody has it: whoever was killed on a machine that is gone may be held for present for some time.
    pub(super) fn judge(&self, here: &Machine, pace: Pace) -> Judgement {
        let name = || self.said.name(here);
        let shares = |who: &super::text::Who| who.machine().shares_locks(here);
        let is_gone = |who: &super::text::Who| {
            who.machine().shares_processes(here) && !is_alive(who.process())
        };
        match (self.flock, self.said) {
            (Flock::Held, Said::Held(who)) if !shares(who) => self.held_elsewhere(name(), pace),
            (Flock::Held, _) => Judgement::Held(name()),
            (Flock::Had, Said::Process(_)) => Judgement::Free,
            (Flock::Had, Said::Held(who) | Said::Left(who)) if shares(who) => Judgement::Free,
            (Flock::Missing, Said::Held(who)) if is_gone(who) => Judgement::Forsaken,
            (_, Said::Left(_)) => Judgement::Forsaken,
            (Flock::Missing, Said::Process(_)) => Judgement::Held(format!(
                "maybe {} (this file system has no locks to ask; move the directory away if there is no such process)",
                name()
            )),
            _ => self.by_beats(name(), pace),
        }
    }

    fn by_beats(&self, name: String, pace: Pace) -> Judgement {
        if self.silent >= pace.silence {
            return Judgement::Forsaken;
        }
        if self.age.is_some_and(|age| age > pace.dead) && !self.moved {
            return Judgement::Old;
        }
        // It takes some beats to see that one has missed.
        if self.moved && self.silent < pace.silence / 2 {
            return Judgement::Held(name);
        }
        Judgement::Unheard(name, pace.silence - self.silent)
    }

    /// The file system says that another machine has it. A server may need a while to see that it is gone.
    fn held_elsewhere(&self, name: String, pace: Pace) -> Judgement {
        if self.moved && self.silent < pace.silence {
            return Judgement::Held(name);
        }
        let longest = pace.silence + pace.silence / 3;
        if self.silent < longest {
            return Judgement::Unheard(name, longest - self.silent);
        }
        Judgement::Held(format!(
            "{name} (not heard of for {} s, but its file system still has its lock)",
            self.silent.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::text::Who;

    const PACE: Pace = Pace {
        silence: Duration::from_secs(30),
        dead: Duration::from_secs(600),
        settle: Duration::ZERO,
    };

    fn said(here: &Machine) -> Said {
        Said::Held(Who::now(here))
    }

    fn other() -> Machine {
        Machine {
            host: "n1".into(),
            ..Machine::here().clone()
        }
    }

    fn judge(flock: Flock, said: &Said, silent: u64, moved: bool, age: u64) -> Judgement {
        let known = Known {
            flock,
            said,
            silent: Duration::from_secs(silent),
            moved,
            age: Some(Duration::from_secs(age)),
        };
        known.judge(Machine::here(), PACE)
    }

    #[test]
    fn on_one_machine_the_systems_lock_decides() {
        let said = said(Machine::here());
        assert_eq!(judge(Flock::Had, &said, 0, false, 0), Judgement::Free);
        let old = Said::Process("process 1".into());
        assert_eq!(judge(Flock::Had, &old, 0, false, 0), Judgement::Free);
        let held = judge(Flock::Held, &said, 9999, false, 9999);
        assert!(matches!(held, Judgement::Held(_)), "{held:?}");
    }

    #[test]
    fn of_another_machine_the_beat_decides() {
        let said = said(&other());
        let unheard =
            |seconds| Judgement::Unheard(said.name(Machine::here()), Duration::from_secs(seconds));
        let held = Judgement::Held(said.name(Machine::here()));
        for flock in [Flock::Had, Flock::Missing] {
            assert_eq!(judge(flock, &said, 0, false, 0), unheard(30));
            assert_eq!(judge(flock, &said, 29, false, 500), unheard(1));
            assert_eq!(judge(flock, &said, 9, true, 0), held);
            assert_eq!(judge(flock, &said, 20, true, 0), unheard(10));
            assert_eq!(judge(flock, &said, 30, true, 0), Judgement::Forsaken);
            assert_eq!(judge(flock, &said, 0, false, 601), Judgement::Old);
            assert_eq!(judge(flock, &said, 0, true, 601), held);
            // As between the making of a file and the first text.
            assert!(matches!(
                judge(flock, &Said::Nothing, 0, false, 0),
                Judgement::Unheard(..)
            ));
        }
        assert_eq!(judge(Flock::Held, &said, 3, true, 0), held);
        assert_eq!(judge(Flock::Held, &said, 30, false, 0), unheard(10));
        let Judgement::Held(name) = judge(Flock::Held, &said, 40, false, 9999) else {
            panic!("it is taken from another");
        };
        assert!(
            name.ends_with(
                "on host n1 (not heard of for 40 s, but its file system still has its lock)"
            ),
            "{name}"
        );
    }

    #[test]
    fn without_locks_a_process_that_is_gone_is_known() {
        let gone = |machine: &Machine| {
            // No system gives a process this number.
            let text = Who::now(machine).holds(1);
            let number = std::process::id().to_string();
            Said::of(&text.replacen(&number, "2147483647", 1))
        };
        let mut child = std::process::Command::new("true")
            .spawn()
            .expect("a program");
        child.wait().expect("its end");
        let here = Machine::here();
        if here.shares_processes(here) {
            assert_eq!(
                judge(Flock::Missing, &gone(here), 0, false, 0),
                Judgement::Forsaken
            );
        }
        for said in [said(here), gone(&other())] {
            let judged = judge(Flock::Missing, &said, 0, false, 0);
            assert!(matches!(judged, Judgement::Unheard(..)), "{judged:?}");
        }
        let old = Said::Process("process 1".into());
        let judged = judge(Flock::Missing, &old, 0, false, 9999);
        assert!(matches!(judged, Judgement::Held(name) if name.contains("no locks to ask")));
        let left = Said::Left(Who::now(&other()));
        assert_eq!(judge(Flock::Had, &left, 0, false, 0), Judgement::Forsaken);
    }
}
