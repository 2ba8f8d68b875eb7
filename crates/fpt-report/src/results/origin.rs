//! Where runs come from: when, on what and by what they were made.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::Run;
use crate::ReportError;

/// The file beside the runs that holds the command that planned them, where a program left one.
pub const COMMAND: &str = "command.txt";

/// When, on what and by what runs were made, as far as they recorded it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Origin {
    /// The command that planned them.
    pub command: Option<String>,
    /// When the first and the last were finished, in UTC.
    pub finished: Option<[String; 2]>,
    /// The processors with their vector units.
    pub processors: Vec<String>,
    /// The devices.
    pub devices: Vec<String>,
    /// Revisions of the program.
    pub revisions: Vec<String>,
    /// Whether some were made at the same time on one device, so that their seconds say little; `None` where they did not
    /// record when.
    pub side_by_side: Option<bool>,
}

impl Origin {
    /// Of the runs in `directory`, not of what started from their prompts.
    pub(super) fn of(directory: &Path, runs: &[Run]) -> Result<Self, ReportError> {
        let all = |value: &dyn Fn(&Run) -> Option<String>| -> Vec<String> {
            let mut values: Vec<String> = runs.iter().filter_map(value).collect();
            values.sort();
            values.dedup();
            values
        };
        let times = runs
            .iter()
            .filter_map(|run| run.finished.result.finished_seconds);
        let ends = times.clone().min().zip(times.max());
        Ok(Self {
            command: command(directory)?,
            finished: ends.map(|(first, last)| [date(first), date(last)]),
            processors: all(&|run| run.finished.result.processor.clone()),
            devices: all(&|run| Some(run.finished.result.device.clone())),
            revisions: all(&|run| Some(run.finished.result.revision.clone())),
            side_by_side: side_by_side(runs),
        })
    }
}

/// `2026-01-31 12:30 UTC`.
pub(super) fn date(seconds: u64) -> String {
    // The last second that a date of four digits has.
    let seconds = seconds.min(253_402_300_799);
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    format!("{} UTC", text[..16].replace('T', " "))
}

/// What [`COMMAND`] says, where it is there.
fn command(directory: &Path) -> Result<Option<String>, ReportError> {
    let path = directory.join(COMMAND);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read { path, source }),
    }
}

/// Whether two runs were at work on one device at the same time; a second is as exact as it is known.
fn side_by_side(runs: &[Run]) -> Option<bool> {
    let mut spans = Vec::new();
    for run in runs {
        let result = &run.finished.result;
        let seconds = &result.seconds;
        let taken = seconds.load + seconds.score + seconds.train + seconds.evaluate;
        let end = result.finished_seconds? as f64;
        spans.push((&result.processor, &result.device, end - taken, end));
    }
    spans.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    Some(spans.windows(2).any(|pair| {
        let (before, after) = (&pair[0], &pair[1]);
        (before.0, before.1) == (after.0, after.1) && before.3 > after.2 + 1.0
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_plain() {
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(date(u64::MAX), "9999-12-31 23:59 UTC");
    }
}
