//! Runs that may be finished already.

use std::path::Path;

use fpt_files::{set_aside, with_causes};
use fpt_train::{Fingerprinter, RunConfig, RunResult, TrainError, finished_run};

use crate::terminal;

/// The result of the run of `config` in `directory`, if it is finished. A finished run of another configuration or of
/// other inputs in its place, or a damaged one, is an error or, with `force_new`, set aside, which the user is told.
///
/// # Errors
/// Those of [`finished_run`] and [`set_aside`].
pub fn finished(
    directory: &Path,
    config: &RunConfig,
    fingerprinter: &mut Fingerprinter,
    force_new: bool,
) -> Result<Option<RunResult>, TrainError> {
    match finished_run(directory, config, fingerprinter) {
        Err(error @ (TrainError::OtherRun { .. } | TrainError::Damaged { .. })) if force_new => {
            let kept = set_aside(directory)?;
            let error = with_causes(&error);
            terminal::note(&format!("{error}: it is {} now", kept.display()));
            Ok(None)
        }
        found => found,
    }
}
