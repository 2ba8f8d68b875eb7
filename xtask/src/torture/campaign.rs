//! What campaigns have in common: trials that are numbered, drawn from a seed, logged, counted, and told of.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fpt::grid::Stopped;
use fpt::{stop, terminal};
use indicatif::ProgressBar;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::contents::Contents;
use super::log::{End, Log};
use super::victim::{Ended, Victim};

/// Of so many ends that differ no more is learned.
const TOO_MANY: usize = 20;
/// So many trials in a row may meet no fault.
const PATIENCE: usize = 50;

/// A kind of faults.
pub(super) trait Campaign {
    /// What they are called.
    fn name(&self) -> &'static str;

    /// What is missing on this machine, and how to get it.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Let a victim meet faults, at most `left`, and give its command again until it comes to its end.
    ///
    /// # Errors
    /// If the campaign can't go on. What is wrong with the victim is a difference.
    fn trial(
        &mut self,
        number: usize,
        left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial>;
}

/// What came of one.
pub(super) struct Trial {
    pub(super) victim: &'static str,
    /// Where it took place; kept if something differs.
    pub(super) directory: PathBuf,
    pub(super) faults: Vec<String>,
    pub(super) said: Vec<String>,
    pub(super) differences: Vec<String>,
}

impl Trial {
    pub(super) fn new(victim: &Victim, directory: &Path) -> Self {
        Self {
            victim: victim.name,
            directory: directory.to_path_buf(),
            faults: Vec::new(),
            said: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// How the victim ended by itself after its fault, making `run` in `place`: well, as if nothing had happened, or with
    /// an error that it told.
    /// Whether it told is `is_told` of what it said.
    pub(super) fn judge(
        &mut self,
        victim: &Victim,
        ended: &Ended,
        place: &Path,
        is_told: impl Fn(&str) -> bool,
    ) {
        let said = &ended.said;
        if said.contains("panicked") || said.contains("the device failed") {
            self.differences.push(format!("it panicked: {ended}"));
        }
        if ended.status.success() {
            let found = Contents::of(&place.join("run")).map(Contents::without_left_overs);
            match found {
                Ok(found) => (self.differences).extend(victim.expected.differences(&found)),
                Err(error) => self.differences.push(terminal::with_causes(&error)),
            }
            return;
        }
        self.said.push(ended.to_string());
        if ended.status.code() != Some(1) || !is_told(said) {
            self.differences
                .push(format!("it did not tell what was wrong: {ended}"));
        }
        for kept in said_to_be_kept(said) {
            if !kept.exists() {
                let kept = kept.display();
                self.differences
                    .push(format!("{kept}, which it said is kept, is not there"));
            }
        }
    }
}

/// The directories that a message says are kept.
fn said_to_be_kept(said: &str) -> Vec<PathBuf> {
    let mut parts: Vec<_> = said.split(" keeps what it wrote until then)").collect();
    parts.pop();
    let names = parts.iter().filter_map(|it| it.rsplit_once(" ("));
    names.map(|(_, name)| PathBuf::from(name)).collect()
}

/// What came of a campaign.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) campaign: &'static str,
    pub(super) faults: usize,
    /// Commands that came to an end after faults.
    pub(super) ends: usize,
    /// Of these, ends that are as if nothing had happened.
    pub(super) identical: usize,
    /// Of these, ends before which the program said of a fault that it could not go on.
    pub(super) told: usize,
    /// What differed, or failed.
    pub(super) differences: Vec<String>,
}

impl Outcome {
    fn of(campaign: &'static str, log: &Log) -> Self {
        let mut outcome = Self {
            campaign,
            faults: 0,
            ends: 0,
            identical: 0,
            told: 0,
            differences: Vec::new(),
        };
        for end in log.of(campaign) {
            outcome.faults += end.faults.len();
            outcome.ends += 1;
            outcome.identical += usize::from(end.differences.is_empty());
            outcome.told += usize::from(!end.said.is_empty());
            if !end.differences.is_empty() {
                outcome.differences.push(format!(
                    "{campaign} {}, {}, {}: {}",
                    end.number,
                    end.victim,
                    end.faults.join("; "),
                    end.differences.join("; ")
                ));
            }
        }
        outcome
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let told = match self.told {
            0 => String::new(),
            told => format!(", {told} of them after an error that was told"),
        };
        format!(
            "{} {}: {} of {} ends are those of undisturbed runs, to the bit{told}",
            self.faults, self.campaign, self.identical, self.ends
        )
    }
}

/// Trials of a campaign until `wanted` faults were met, those in the log included.
pub(super) fn execute(
    campaign: &mut dyn Campaign,
    wanted: usize,
    seed: u64,
    log: &mut Log,
) -> anyhow::Result<Outcome> {
    let name = campaign.name();
    let shown = Shown::new(name, wanted);
    let mut without = 0;
    loop {
        let outcome = Outcome::of(name, log);
        shown.show(&outcome);
        if outcome.faults >= wanted {
            return Ok(outcome);
        }
        if stop::is_asked() {
            terminal::note("stopped; with --out the same command goes on");
            return Err(Stopped.into());
        }
        if outcome.ends - outcome.identical >= TOO_MANY {
            bail!("too much differs:\n{}", outcome.differences.join("\n"));
        }
        if without >= PATIENCE {
            bail!("{PATIENCE} trials in a row met no fault");
        }
        let number = outcome.ends;
        let trial = campaign.trial(number, wanted - outcome.faults, &mut draws(seed, number))?;
        without = if trial.faults.is_empty() {
            without + 1
        } else {
            0
        };
        clear(&trial, name, number)?;
        log.add(End {
            campaign: name.into(),
            number,
            victim: trial.victim.into(),
            faults: trial.faults,
            said: trial.said,
            differences: trial.differences,
        })?;
    }
}

/// The random numbers of a trial, which do not depend on those before it.
fn draws(seed: u64, number: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number as u64);
    random
}

/// What a trial left goes, unless somebody will want to look at it.
fn clear(trial: &Trial, name: &str, number: usize) -> anyhow::Result<()> {
    let directory = &trial.directory;
    if trial.differences.is_empty() {
        crate::shell::remove(directory)
    } else {
        let kept = directory.with_file_name(format!("{name}-{number}-differs"));
        crate::shell::remove(&kept)?;
        std::fs::rename(directory, &kept)
            .with_context(|| format!("failed to keep {}", directory.display()))
    }
}

/// How far a campaign is: a bar, or where there is no terminal a line for each end.
struct Shown(Option<ProgressBar>);

impl Shown {
    fn new(name: &'static str, wanted: usize) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self(on_terminal.then(|| terminal::bar(wanted, name)))
    }

    fn show(&self, outcome: &Outcome) {
        match &self.0 {
            Some(bar) => {
                bar.set_position(outcome.faults as u64);
                bar.set_message(format!("{} of {} ends", outcome.identical, outcome.ends));
            }
            None if outcome.ends > 0 => terminal::note(&outcome.line()),
            None => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::RngExt;

    use super::super::log::Setting;
    use super::*;

    /// Two faults an end; the second end differs.
    struct Pairs(Vec<u64>, PathBuf);

    impl Campaign for Pairs {
        fn name(&self) -> &'static str {
            "pairs"
        }

        fn trial(
            &mut self,
            number: usize,
            left: usize,
            random: &mut ChaCha8Rng,
        ) -> anyhow::Result<Trial> {
            self.0.push(random.random());
            std::fs::create_dir(&self.1)?;
            let differs = if number == 1 {
                vec!["a".into()]
            } else {
                vec![]
            };
            Ok(Trial {
                victim: "one",
                directory: self.1.clone(),
                faults: vec!["fault".into(); left.min(2)],
                said: vec![],
                differences: differs,
            })
        }
    }

    #[test]
    fn what_is_kept_is_read_from_messages() {
        let said = "error: 2 failed\na: the run failed (/x/a.partial keeps what it wrote until then): full\n\
                    b: the run failed (/x/b.partial keeps what it wrote until then): full";
        let kept = [PathBuf::from("/x/a.partial"), PathBuf::from("/x/b.partial")];
        assert_eq!(said_to_be_kept(said), kept);
        assert!(said_to_be_kept("error: full").is_empty());
    }

    #[test]
    fn a_campaign_goes_on_as_if_it_had_not_been_stopped() {
        let place = tempfile::tempdir().unwrap();
        let setting = Setting {
            config: String::new(),
            seed: 3,
            steps: 1,
            examples: None,
            overrides: vec![],
            unsynced: false,
            revision: String::new(),
        };
        let mut pairs = Pairs(vec![], place.path().join("here"));
        let mut log = Log::open(None, &setting).unwrap();
        let outcome = execute(&mut pairs, 7, 3, &mut log).unwrap();
        assert_eq!((outcome.faults, outcome.ends, outcome.identical), (7, 4, 3));
        assert_eq!(outcome.differences, ["pairs 1, one, fault; fault: a"]);
        assert!(place.path().join("pairs-1-differs").is_dir());
        assert!(!place.path().join("here").exists());

        let path = place.path().join("ends.jsonl");
        let mut again = Pairs(vec![], place.path().join("here"));
        for wanted in [3, 3, 6, 7] {
            let mut log = Log::open(Some(&path), &setting).unwrap();
            let outcome = execute(&mut again, wanted, 3, &mut log).unwrap();
            assert_eq!(outcome.faults, wanted);
        }
        // The moments are those of the numbers.
        assert_eq!(again.0[..3], pairs.0[..3]);
        assert_ne!(again.0[0], again.0[1]);
    }
}
