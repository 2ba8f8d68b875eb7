//! One place where everything that happens goes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Event;
use crate::TrainError;

/// Tells listeners of every event, and writes those that are metrics to a file, a line of JSON each.
pub(crate) struct Log<'a> {
    path: PathBuf,
    metrics: File,
    listener: &'a mut dyn FnMut(&Event),
    /// Lines written.
    written: usize,
}

impl<'a> Log<'a> {
    /// A log that writes to the new file `path`.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it can't be created.
    pub(crate) fn create(
        path: &Path,
        listener: &'a mut dyn FnMut(&Event),
    ) -> Result<Self, TrainError> {
        let metrics = File::create_new(path).map_err(|error| TrainError::output(path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            metrics,
            listener,
            written: 0,
        })
    }

    /// Whether there is something to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Something happened.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it can't be written down.
    pub(crate) fn emit(&mut self, event: impl Into<Event>) -> Result<(), TrainError> {
        let event = event.into();
        if let Event::Metric(record) = &event {
            let failed = |error: std::io::Error| TrainError::output(&self.path, error);
            let mut line = serde_json::to_string(record).map_err(|error| failed(error.into()))?;
            line.push('\n');
            self.metrics.write_all(line.as_bytes()).map_err(failed)?;
            self.written += 1;
        }
        (self.listener)(&event);
        Ok(())
    }
}
