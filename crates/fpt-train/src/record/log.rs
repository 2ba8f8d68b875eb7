//! One place where everything that happens goes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fpt_files::{Lease, Waiting};

use super::{Event, MetricRecord, tensorboard};
use crate::TrainError;

/// The file for TensorBoard beside one of metrics.
struct Board {
    path: PathBuf,
    file: File,
}

impl Board {
    /// Of the lines that are in the file of metrics by now. As these do not tell when they were written, they count as
    /// written as long ago as training has gone on since.
    fn of(metrics: &Path) -> Result<Self, TrainError> {
        let path = metrics.with_file_name(tensorboard::NAME);
        let text = fs::read(metrics).map_err(|error| TrainError::output(metrics, error))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<MetricRecord> = lines.collect();
        let seconds = |line: &MetricRecord| match line {
            MetricRecord::Step { seconds, .. } => Some(*seconds),
            _ => None,
        };
        let trained = lines.iter().rev().find_map(seconds).unwrap_or(0.0);
        let start = now() - trained;
        let mut bytes = tensorboard::header(start);
        let mut time = start;
        for line in &lines {
            time = seconds(line).map_or(time, |seconds| start + seconds);
            bytes.extend(tensorboard::event(line, time).unwrap_or_default());
        }
        fpt_files::write(&path, bytes)?;
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|error| TrainError::output(&path, error))?;
        Ok(Self { path, file })
    }

    fn add(&mut self, line: &MetricRecord, time: f64) -> Result<(), TrainError> {
        let Some(bytes) = tensorboard::event(line, time) else {
            return Ok(());
        };
        let written = self.file.write_all(&bytes);
        written.map_err(|error| TrainError::output(&self.path, error))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Tells listeners of every event, and writes those that are metrics to a file, a line of JSON each, and to one that
/// TensorBoard reads.
pub(crate) struct Log<'a> {
    path: PathBuf,
    metrics: File,
    /// Bytes of the file.
    length: u64,
    board: Board,
    listener: &'a mut dyn FnMut(&Event),
    stop: fn() -> bool,
    /// That the file is this process's to write.
    lease: Option<Lease>,
}

impl<'a> Log<'a> {
    /// A log that writes to the file `path`, after what is there already. `stop` is asked while the run waits for what
    /// it tells of. Nothing is written when `lease` is lost.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it can't be created.
    pub(crate) fn open(
        path: &Path,
        listener: &'a mut dyn FnMut(&Event),
        stop: fn() -> bool,
        lease: Option<Lease>,
    ) -> Result<Self, TrainError> {
        let failed = |error| TrainError::output(path, error);
        let mut options = File::options();
        let metrics = options.append(true).create(true).open(path);
        let metrics = metrics.map_err(failed)?;
        let length = metrics.metadata().map_err(failed)?.len();
        Ok(Self {
            path: path.to_path_buf(),
            metrics,
            length,
            board: Board::of(path)?,
            listener,
            stop,
            lease,
        })
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the run is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        (self.stop)()
    }

    /// Cut the file to its first `length` bytes.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub(crate) fn cut(&mut self, length: u64) -> Result<(), TrainError> {
        let cut = self.metrics.set_len(length);
        cut.map_err(|error| TrainError::output(&self.path, error))?;
        self.length = length;
        self.board = Board::of(&self.path)?;
        Ok(())
    }

    /// Bring the file to the disk, and tell its length.
    ///
    /// # Errors
    /// [`TrainError::Output`].
    pub(crate) fn sync(&mut self) -> Result<u64, TrainError> {
        let synced = self.metrics.sync_data();
        synced.map_err(|error| TrainError::output(&self.path, error))?;
        Ok(self.length)
    }

    /// Something is odd.
    ///
    /// # Errors
    /// As [`Log::emit`].
    pub(crate) fn warn(&mut self, message: String) -> Result<(), TrainError> {
        self.emit(Event::Warning { message })
    }

    /// The run waits for a process that makes `what`.
    ///
    /// # Errors
    /// [`TrainError::Stopped`] if it is to stop.
    pub(crate) fn wait(&mut self, what: &str, waiting: &Waiting<'_>) -> Result<(), TrainError> {
        if waiting.news.is_some() {
            let message = format!("{what} are being made: {waiting}");
            self.emit(Event::Waiting { message })?;
        }
        if self.is_stopped() {
            return Err(TrainError::Stopped);
        }
        Ok(())
    }

    /// Something happened.
    ///
    /// # Errors
    /// [`TrainError::Output`] if it can't be written down, [`TrainError::Lost`] if that is another process's to do now,
    /// [`TrainError::Stopped`] if it is only a part of longer work and the run is to stop.
    pub(crate) fn emit(&mut self, event: impl Into<Event>) -> Result<(), TrainError> {
        let event = event.into();
        if let Event::Metric(record) = &event {
            let failed = |error: std::io::Error| TrainError::output(&self.path, error);
            if let Some(lease) = self.lease.as_ref().filter(|lease| lease.is_lost()) {
                return Err(TrainError::Lost {
                    path: self.path.parent().unwrap_or(&self.path).to_path_buf(),
                    owner: lease.new_holder()?.unwrap_or_default(),
                });
            }
            let mut line = serde_json::to_string(record).map_err(|error| failed(error.into()))?;
            line.push('\n');
            self.metrics.write_all(line.as_bytes()).map_err(failed)?;
            self.length += line.len() as u64;
            self.board.add(record, now())?;
        }
        (self.listener)(&event);
        match event {
            Event::Tokenized { .. } | Event::Evaluated { .. } if self.is_stopped() => {
                Err(TrainError::Stopped)
            }
            _ => Ok(()),
        }
    }
}
