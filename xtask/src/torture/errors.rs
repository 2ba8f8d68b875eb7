//! Errors of the system: one call of one kind fails, as on a disk that is full, broken or read-only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::campaign::{Campaign, Trial};
use super::mounts::is_there;
use super::saved::Saved;
use super::strace::{self, Call, FAULTS};
use super::victim::Victim;
use super::{Ground, place_for};
use crate::shell;

const LOOK: Duration = Duration::from_millis(5);
/// So often it is tried to kill a run midway.
const TRIES: usize = 20;
/// What is nobody's business, beside the runs.
const FOREIGN: [&str; 3] = [
    "notes.txt",
    ".notes.txt.aB3xY9.tmp",
    "other.partial/notes.txt",
];

/// What a command finds of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum There {
    Nothing,
    /// What a process left that was killed after its second checkpoint.
    Half,
    /// A finished run, or grid.
    All,
}

/// Commands of which one call fails, where there is nothing of their run, a part of it, or all. Then the same command is
/// given again.
pub(super) struct Errors<'a> {
    ground: &'a Ground,
    /// What can fail, by victim and what there is.
    calls: BTreeMap<(usize, There), Vec<Call>>,
}

impl<'a> Errors<'a> {
    pub(super) fn new(ground: &'a Ground) -> Self {
        Self {
            ground,
            calls: BTreeMap::new(),
        }
    }

    /// Where all of it takes place: names are the same each time.
    fn place(&self) -> PathBuf {
        self.ground.place.join("errors")
    }

    fn log(&self) -> PathBuf {
        self.ground.place.join("errors.log")
    }

    /// The victim's directory, with foreign files in it, and what is to be there of its run.
    fn begin(&self, victim: &Victim, there: There) -> anyhow::Result<PathBuf> {
        let place = place_for(&self.ground.place, "errors")?;
        for name in FOREIGN {
            let path = place.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&place))?;
            fs::write(&path, name)?;
        }
        let from = match there {
            There::Nothing => None,
            There::Half => Some(self.midway(victim)?),
            There::All => Some(self.ground.place.join(format!("whole-{}", victim.name))),
        };
        if let Some(from) = from {
            shell::call(Command::new("cp").arg("-a").arg(from.join(".")).arg(&place))?;
        }
        Ok(place.join("run"))
    }

    /// A directory in which a run was killed after its second checkpoint.
    fn midway(&self, victim: &Victim) -> anyhow::Result<PathBuf> {
        let name = format!("midway-{}", victim.name);
        let there = self.ground.place.join(&name);
        let complete = there.join("complete");
        if complete.exists() {
            return Ok(there);
        }
        for _ in 0..TRIES {
            let there = place_for(&self.ground.place, &name)?;
            let out = there.join("run");
            let mut running = victim.start(&[], &out)?;
            while !running.end_within(Duration::ZERO)? {
                if Saved::of(&out).is_midway() {
                    running.kill_all()?;
                    fs::write(&complete, "")?;
                    return Ok(there);
                }
                std::thread::sleep(LOOK);
            }
        }
        anyhow::bail!("{} was never killed midway", victim.name)
    }

    /// What can fail of a victim.
    fn calls(&mut self, which: usize, there: There) -> anyhow::Result<&[Call]> {
        if !self.calls.contains_key(&(which, there)) {
            let victim = self.ground.victim(which);
            let out = self.begin(victim, there)?;
            let log = self.log();
            let ended = victim.start(&strace::watching(&log), &out)?.end()?;
            ensure!(
                ended.status.success(),
                "{} under strace: {ended}",
                victim.name
            );
            let found = strace::calls(&read(&log)?);
            let found = strace::candidates(&found, &self.place());
            ensure!(!found.is_empty(), "strace saw no call of {}", victim.name);
            self.calls.insert((which, there), found);
        }
        Ok(&self.calls[&(which, there)])
    }
}

impl Campaign for Errors<'_> {
    fn name(&self) -> &'static str {
        "errors"
    }

    fn missing(&self) -> Option<String> {
        (!is_there("strace")).then(strace::missing)
    }

    fn trial(
        &mut self,
        number: usize,
        _left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let ground = self.ground;
        let which = number % ground.victims.len();
        let victim = ground.victim(which);
        let there = *[There::Nothing, There::Half, There::All]
            .choose(random)
            .context("there is nothing to begin with")?;
        let (call, error) = draw(self.calls(which, there)?, random)?;
        let out = self.begin(victim, there)?;
        let (place, log) = (self.place(), self.log());
        let mut trial = Trial::new(victim, &place);
        let tracer = strace::failing(&call.name, call.number, error, &log);
        let ended = victim.start(&tracer, &out)?.end()?;
        let failed = strace::calls(&read(&log)?);
        let failed: Vec<&Call> = failed.iter().filter(|call| call.injected).collect();
        for call in &failed {
            trial.faults.push(describe(call, error, there, &place));
        }
        trial.judge(victim, &ended, &place, |said| names(said, &failed, &place));
        trial.differences.extend(victim.differences(&out));
        trial.differences.extend(foreign(&place)?);
        Ok(trial)
    }
}

/// A call that is to fail, and how: each kind of call as often as any other.
fn draw(calls: &[Call], random: &mut ChaCha8Rng) -> anyhow::Result<(Call, &'static str)> {
    let of = |name: &str| -> Vec<&Call> { calls.iter().filter(|call| call.name == name).collect() };
    let kinds: Vec<_> = FAULTS
        .iter()
        .filter(|(name, _)| !of(name).is_empty())
        .collect();
    let (name, errors) = kinds.choose(random).context("there is nothing to fail")?;
    let calls = of(name);
    let call = calls.choose(random).context("there is no call to fail")?;
    let error = errors.choose(random).context("there is no error")?;
    Ok(((*call).clone(), error))
}

fn describe(call: &Call, error: &str, there: There, place: &Path) -> String {
    let path = call.path.as_deref().unwrap_or(Path::new("?"));
    let path = path.strip_prefix(place).unwrap_or(path);
    let begun = match there {
        There::Nothing => "",
        There::Half => ", from midway",
        There::All => ", of a finished one",
    };
    format!(
        "{} {} of {}: {error}{begun}",
        call.name,
        call.number,
        path.display()
    )
}

/// Whether a message names the file of one of the calls, or the directory that it is in. Nothing can be told where the
/// call that was to tell it failed too, as another thread's of the same number.
fn names(said: &str, failed: &[&Call], place: &Path) -> bool {
    let paths = failed.iter().filter_map(|call| call.path.as_deref());
    let is_named = |path: &Path| {
        let meant = strace::meant(path);
        let directory = meant.parent().unwrap_or(&meant);
        said.contains(&directory.display().to_string())
    };
    let mut paths = paths.map(|path| is_named(path) || !path.starts_with(place));
    paths.any(|told| told)
}

/// What is not as it should be beside the runs: something of ours that is left, or something of others that is gone.
fn foreign(place: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for name in FOREIGN {
        if fs::read_to_string(place.join(name)).ok().as_deref() != Some(name) {
            wrong.push(format!("{name}, which is not ours, was touched"));
        }
    }
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_foreign = FOREIGN.iter().any(|foreign| foreign.starts_with(&name));
        if !is_foreign && !["run", "cache", "complete"].contains(&&*name) {
            wrong.push(format!("{name} is left"));
        }
    }
    Ok(wrong)
}

fn read(log: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn call(name: &str, number: usize, path: &str) -> Call {
        let log = format!("7  {name}(3<{path}>, \"\", 1) = 1\n");
        let mut call = strace::calls(&log).remove(0);
        call.number = number;
        call
    }

    #[test]
    fn every_kind_of_call_fails_as_often() {
        let mut calls: Vec<Call> = (1..=50)
            .map(|number| call("write", number, "/a/b"))
            .collect();
        calls.push(call("fsync", 1, "/a/b"));
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let drawn: Vec<_> = (0..100)
            .map(|_| draw(&calls, &mut random).unwrap())
            .collect();
        let syncs = drawn
            .iter()
            .filter(|(call, _)| call.name == "fsync")
            .count();
        assert!((30..70).contains(&syncs), "{syncs}");
        let numbers = drawn.iter().map(|(call, _)| call.number).max();
        assert!(numbers.unwrap() > 25);
        assert!(draw(&[], &mut random).is_err());
    }

    #[test]
    fn a_message_names_what_failed() {
        let failed = call("write", 1, "/a/run.partial/.b.json.aB3xY9.tmp");
        let told = |said: &str, failed: &[&Call]| names(said, failed, Path::new("/a"));
        assert!(told(
            "error: cannot write /a/run.partial/b.json: full",
            &[&failed]
        ));
        assert!(!told("error: full", &[&failed]));
        assert!(!told("error: of /a/run.partial/b.json", &[]));
        // What it said was lost.
        assert!(told("", &[&failed, &call("write", 1, "pipe:[7]")]));
    }

    #[test]
    fn foreign_files_stay_and_ours_go() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("other.partial")).unwrap();
        for name in FOREIGN {
            fs::write(place.path().join(name), name).unwrap();
        }
        fs::create_dir(place.path().join("run")).unwrap();
        assert!(foreign(place.path()).unwrap().is_empty());
        fs::create_dir(place.path().join("set-aside")).unwrap();
        fs::remove_file(place.path().join("notes.txt")).unwrap();
        let wrong = foreign(place.path()).unwrap();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
