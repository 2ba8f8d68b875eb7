//! What was submitted, so that another call knows of it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::queue::JobId;

/// The directory, below that of the runs, of what concerns Slurm.
const DIRECTORY: &str = "slurm";
const JOBS: &str = "jobs.json";

/// A run as an array executes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Element {
    /// What people see it called.
    pub(super) name: String,
    pub(super) directory: PathBuf,
    /// Its optimizer steps.
    pub(super) steps: usize,
}

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submission {
    pub(super) job: JobId,
    /// When, in seconds of Unix time.
    pub(super) at: u64,
    pub(super) what: What,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// An array of runs.
    Runs(Vec<Element>),
    /// What comes after them.
    GoOn,
}

/// All that was submitted for a directory of runs, oldest first.
pub(super) struct Ledger {
    directory: PathBuf,
    submissions: Vec<Submission>,
}

impl Ledger {
    /// That of the runs in `out`; an empty one if nothing was submitted yet.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn read(out: &Path) -> anyhow::Result<Self> {
        let directory = out.join(DIRECTORY);
        let path = directory.join(JOBS);
        let submissions = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| {
                format!(
                    "{} is damaged; without it it is not known which jobs were submitted (`squeue --me` lists them): move it \
                     away when none of them is left",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        Ok(Self {
            directory,
            submissions,
        })
    }

    /// Where the logs of jobs go.
    pub(super) fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    /// Where the programs that jobs start are kept.
    pub(super) fn programs(&self) -> PathBuf {
        self.directory.join("programs")
    }

    /// Where the next script goes, by what it is for.
    pub(super) fn script(&self, what: &str) -> PathBuf {
        let number = self.submissions.len() + 1;
        self.directory.join(format!("{number:03}-{what}.sh"))
    }

    /// Write down what was submitted.
    ///
    /// # Errors
    /// If that can't be written.
    pub(super) fn add(&mut self, job: JobId, what: What) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.submissions.push(Submission {
            job,
            at: now.unwrap_or_default().as_secs(),
            what,
        });
        fpt_files::write_json(self.directory.join(JOBS), &self.submissions)?;
        Ok(())
    }

    /// All of them, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Submission> {
        self.submissions.iter().rev()
    }

    /// The job that was submitted last for the run in `directory`, and its index in there.
    pub(super) fn last_of(&self, directory: &Path) -> Option<(&JobId, usize)> {
        self.newest_first()
            .find_map(|submission| match &submission.what {
                What::Runs(elements) => {
                    let place = elements.iter().position(|it| it.directory == directory)?;
                    Some((&submission.job, place))
                }
                What::GoOn => None,
            })
    }

    /// Every run that was ever submitted, once, in the order of the first time.
    pub(super) fn elements(&self) -> Vec<Element> {
        let mut all: Vec<Element> = Vec::new();
        for submission in &self.submissions {
            let What::Runs(elements) = &submission.what else {
                continue;
            };
            for element in elements {
                match all.iter_mut().find(|it| it.directory == element.directory) {
                    Some(known) => known.clone_from(element),
                    None => all.push(element.clone()),
                }
            }
        }
        all
    }

    /// The log of an element of an array.
    pub(super) fn log(&self, job: &JobId, index: usize) -> PathBuf {
        self.logs().join(format!("{job}_{index}.log"))
    }

    /// The log of a job that is no array.
    pub(super) fn log_of(&self, job: &JobId) -> PathBuf {
        self.logs().join(format!("{job}.log"))
    }
}
