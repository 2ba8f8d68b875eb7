//! What a machine must not lose: checkpoints that were written, and runs that have finished.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The runs in and beside a directory, by the names that they have when they are finished.
#[derive(Debug, Default)]
pub(super) struct Saved(BTreeMap<PathBuf, Run>);

#[derive(Debug, Default)]
struct Run {
    finished: bool,
    /// Names of checkpoints, which sort by step.
    checkpoints: Vec<String>,
}

impl Saved {
    /// What lies at `out`: a run, or a grid of them.
    pub(super) fn of(out: &Path) -> Self {
        let beside = out.parent().into_iter().chain([out]);
        let entries = beside
            .filter_map(|place| fs::read_dir(place).ok())
            .flatten();
        let mut runs: BTreeMap<PathBuf, Run> = BTreeMap::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_partial = path.extension() == Some("partial".as_ref());
            if is_partial {
                runs.entry(path.with_extension("")).or_default().checkpoints =
                    names(&path.join("checkpoints"));
            } else if path.join("result.json").is_file() {
                runs.entry(path).or_default().finished = true;
            }
        }
        Self(runs)
    }

    /// Whether a run has written two checkpoints and is not finished.
    pub(super) fn is_midway(&self) -> bool {
        self.0.values().any(|run| run.checkpoints.len() > 1)
    }

    /// What was there when the power was cut, and is not there after that, a phrase each. Of checkpoints the last may
    /// not have been written to the disk yet.
    pub(super) fn lost(&self, after: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        for (path, before) in &self.0 {
            let found = after.0.get(path);
            let is_finished = found.is_some_and(|found| found.finished);
            if let Some(written) = before.checkpoints.iter().rev().nth(1) {
                let newest = found.and_then(|found| found.checkpoints.last());
                if !is_finished && newest < Some(written) {
                    lost.push(format!("{written} of {} was lost", path.display()));
                }
            }
        }
        lost
    }

    /// What is not there though the command that made it has ended well.
    pub(super) fn not_finished(&self, after: &Self) -> Vec<String> {
        let finished = self.0.iter().filter(|(_, run)| run.finished);
        finished
            .filter(|(path, _)| !after.0.get(*path).is_some_and(|found| found.finished))
            .map(|(path, _)| format!("{}, which was finished, was lost", path.display()))
            .collect()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A run with checkpoints of these steps, `run.partial`, or `grid/a.partial`.
    fn saved(run: &str, steps: &[usize]) -> Saved {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = place.path().join(run).join("checkpoints");
        fs::create_dir_all(&checkpoints).unwrap();
        for step in steps {
            fs::write(checkpoints.join(format!("step-{step:010}.fpt")), "").unwrap();
        }
        fs::write(checkpoints.join(".step-0000000099.fpt.aB3xY9.tmp"), "").unwrap();
        let found = Saved::of(&place.path().join(run.split(['.', '/']).next().unwrap()));
        let named = found.0.into_iter().map(|(path, run)| {
            let name = path.strip_prefix(place.path()).unwrap().to_path_buf();
            (name, run)
        });
        Saved(named.collect())
    }

    #[test]
    fn checkpoints_but_the_last_are_there_after_a_cut() {
        for run in ["run.partial", "grid/a.partial"] {
            let lost = |before: &[usize], after: &[usize]| {
                saved(run, before).lost(&saved(run, after)).len()
            };
            assert!(saved(run, &[5, 10]).is_midway() && !saved(run, &[5]).is_midway());
            assert_eq!(lost(&[5, 10], &[5, 10]), 0);
            assert_eq!(lost(&[5, 10], &[5]), 0);
            assert_eq!(lost(&[5, 10], &[15]), 0);
            assert_eq!(lost(&[5], &[]), 0);
            assert_eq!(lost(&[5, 10], &[]), 1);
            assert_eq!(lost(&[5, 10, 15], &[5]), 1);
            assert_eq!(saved(run, &[5, 10]).lost(&Saved::default()).len(), 1);
        }
    }

    #[test]
    fn finished_runs_are_there_after_a_cut() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("result.json"), "").unwrap();
        let finished = Saved::of(&out);
        assert_eq!(finished.not_finished(&finished).len(), 0);
        assert_eq!(finished.not_finished(&Saved::default()).len(), 1);
        fs::rename(&out, place.path().join("run.partial")).unwrap();
        let unfinished = Saved::of(&out);
        assert_eq!(finished.not_finished(&unfinished).len(), 1);
        assert_eq!(unfinished.not_finished(&finished).len(), 0);
    }
}
