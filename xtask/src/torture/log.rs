//! The log of campaigns: a line for each end, so that one that was stopped goes on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// What ends must have in common to be of one campaign: the first line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) config: String,
    pub(super) seed: u64,
    pub(super) steps: usize,
    pub(super) examples: Option<usize>,
    pub(super) overrides: Vec<String>,
    pub(super) unsynced: bool,
    pub(super) revision: String,
}

/// How a command ended that met faults and was given again: a line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) campaign: String,
    /// From 0, of its campaign.
    pub(super) number: usize,
    pub(super) victim: String,
    /// The faults that it met, in turn.
    pub(super) faults: Vec<String>,
    /// What it said where it ended with an error.
    pub(super) said: Vec<String>,
    /// What is not as if nothing had happened.
    pub(super) differences: Vec<String>,
}

/// The ends so far, in a file if there is one.
pub(super) struct Log {
    file: Option<File>,
    ends: Vec<End>,
}

impl Log {
    /// The log in the file `path`, or of this campaign alone.
    ///
    /// # Errors
    /// If the file is of another setting, or damaged before its last line.
    pub(super) fn open(path: Option<&Path>, setting: &Setting) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                ends: Vec::new(),
            });
        };
        let named = || format!("cannot go on with {}", path.display());
        let text = if path.exists() {
            fs::read_to_string(path).with_context(named)?
        } else {
            String::new()
        };
        let (found, ends, whole) = parse(&text).with_context(named)?;
        let mut file = File::options().create(true).append(true).open(path)?;
        // A campaign that was killed may have left half a line.
        file.set_len(whole as u64)?;
        match found {
            Some(found) => ensure!(
                found == *setting,
                "{} is of another campaign, {}; choose another --out",
                path.display(),
                serde_json::to_string(&found)?
            ),
            None => write_line(&mut file, setting)?,
        }
        Ok(Self {
            file: Some(file),
            ends,
        })
    }

    /// The ends of a campaign.
    pub(super) fn of(&self, campaign: &str) -> impl Iterator<Item = &End> {
        self.ends.iter().filter(move |end| end.campaign == campaign)
    }

    /// One more.
    pub(super) fn add(&mut self, end: End) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            write_line(file, &end)?;
        }
        self.ends.push(end);
        Ok(())
    }
}

fn write_line(file: &mut File, value: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)? + "\n";
    file.write_all(line.as_bytes())
        .context("failed to write the log of the campaign")
}

/// Setting, ends, and how many bytes of the text are whole lines.
fn parse(text: &str) -> anyhow::Result<(Option<Setting>, Vec<End>, usize)> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text[..whole].lines();
    let Some(first) = lines.next() else {
        return Ok((None, Vec::new(), 0));
    };
    let setting = serde_json::from_str(first).context("its line 1 is no setting of a campaign")?;
    let end = |(line, number): (&str, usize)| {
        serde_json::from_str(line).with_context(|| format!("its line {number} is damaged"))
    };
    let ends = lines.zip(2..).map(end).collect::<anyhow::Result<_>>()?;
    Ok((Some(setting), ends, whole))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn setting(seed: u64) -> Setting {
        Setting {
            config: "a.toml".into(),
            seed,
            steps: 20,
            examples: None,
            overrides: Vec::new(),
            unsynced: false,
            revision: "none".into(),
        }
    }

    fn end(campaign: &str, number: usize) -> End {
        End {
            campaign: campaign.into(),
            number,
            victim: "one".into(),
            faults: vec!["killed".into(); number],
            said: Vec::new(),
            differences: Vec::new(),
        }
    }

    #[test]
    fn a_campaign_goes_on_from_its_log() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ends.jsonl");
        let mut log = Log::open(Some(&path), &setting(1)).unwrap();
        for made in [end("kills", 0), end("power", 0), end("kills", 1)] {
            log.add(made).unwrap();
        }
        drop(log);
        // Killed within a line.
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"campaign\":\"ki")).unwrap();
        let mut log = Log::open(Some(&path), &setting(1)).unwrap();
        let kills: Vec<_> = log.of("kills").cloned().collect();
        assert_eq!(kills, [end("kills", 0), end("kills", 1)]);
        log.add(end("kills", 2)).unwrap();
        let log = Log::open(Some(&path), &setting(1)).unwrap();
        assert_eq!((log.of("kills").count(), log.of("power").count()), (3, 1));

        let refused = |text: String, seed| {
            fs::write(&path, text).unwrap();
            let error = Log::open(Some(&path), &setting(seed)).err().unwrap();
            format!("{error:#}")
        };
        assert!(refused(whole.clone(), 2).contains("another campaign"));
        assert!(refused(whole.replacen("kills", "kil\"ls", 1), 1).contains("line 2"));
        assert!(refused("no log\n".into(), 1).contains("line 1"));
    }

    #[test]
    fn without_a_file_it_is_kept_in_memory() {
        let mut log = Log::open(None, &setting(1)).unwrap();
        log.add(end("kills", 0)).unwrap();
        assert_eq!(log.of("kills").count(), 1);
        assert_eq!(log.of("power").count(), 0);
    }
}
