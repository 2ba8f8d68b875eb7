//! Directories of runs: one that is being written belongs to one process, a finished one is never changed.

mod claim;
mod digests;
mod finished;
mod identity;
mod open;
mod sweep;
mod wait;

pub use claim::Claim;
pub(crate) use finished::predictions_file;
pub use finished::{FinishedRun, Prediction};
pub use identity::finished_run;
pub(crate) use open::RunDir;
pub(crate) use wait::pace;
