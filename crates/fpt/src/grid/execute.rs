//! What executes runs.

use super::plan::Planned;
use crate::terminal;

/// Has runs made: by processes of this machine, or by jobs of a cluster. Who plans runs and who reports them know only this.
pub trait Executor {
    /// Execute what is not finished of `runs`.
    ///
    /// A run that fails does not stop the others. Returns what failed, a line each.
    ///
    /// # Errors
    /// [`Stopped`], once nothing runs any more that would end with this program; [`Submitted`], where the runs are made
    /// without it.
    fn run_all(&self, runs: &[Planned]) -> anyhow::Result<Vec<String>>;

    /// What a command of `fpt` with `--device` prints that computes with a model, where runs are executed: `arguments` are
    /// all but that option.
    ///
    /// # Errors
    /// What it says; and those of [`run_all`](Self::run_all).
    fn output(&self, arguments: &[String]) -> anyhow::Result<Vec<u8>>;
}

/// The experiment was asked to stop, and has said so.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

/// Jobs do the rest, which was said.
#[derive(Debug)]
pub struct Submitted;

impl std::fmt::Display for Submitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("submitted")
    }
}

impl std::error::Error for Submitted {}

/// Say that runs are finished already, if some are.
pub(super) fn note_finished(finished: usize, of: usize) {
    if finished > 0 {
        terminal::note(&format!("{finished} of {of} runs are finished already"));
    }
}
