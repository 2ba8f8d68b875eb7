//! Checkpoints of a run: from each it goes on to the same end, to the bit, as if it had never been interrupted.

mod record;

use std::time::Instant;

use burn::tensor::Device;
use fpt_files::{Checkpoints, SealedFormat, with_causes};
use serde::{Deserialize, Serialize};

use self::record::{VERSION, from_bytes, to_bytes};
use crate::record::Log;
use crate::run_dir::RunDir;
use crate::state::State;
use crate::{Conduct, TrainConfig, TrainError};

/// Where they lie in the directory of a run.
pub(crate) const DIRECTORY: &str = "checkpoints";
const FORMAT: SealedFormat = SealedFormat {
    kind: "fpt-checkpoint",
    version: VERSION,
    oldest: 1,
};

/// What a run must have in common with what it goes on with, beside configuration and inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    /// Kind of device, such as `cpu` or `cuda`.
    pub(crate) device: String,
    /// Parts in which each batch is computed.
    pub(crate) parts: usize,
    /// SHA-256 of `selections.json`.
    pub(crate) selections: String,
}

impl Circumstances {
    /// What differs, a phrase each.
    fn differences(&self, here: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, there: &dyn ToString, here: &dyn ToString| {
            let (there, here) = (there.to_string(), here.to_string());
            if there != here {
                found.push(format!("{what} {there} there and {here} here"));
            }
        };
        compare("the device is", &self.device, &here.device);
        compare("the parts of a batch are", &self.parts, &here.parts);
        compare(
            "what the stages keep of the model has the SHA-256",
            &self.selections,
            &here.selections,
        );
        found
    }
}

/// Writes checkpoints when they are due.
pub(crate) struct Keeper<'a> {
    run: &'a RunDir,
    checkpoints: Checkpoints,
    circumstances: Circumstances,
    conduct: &'a Conduct,
    /// When the last one was written, or training began.
    last: Instant,
    /// Batches that were trained on then.
    last_batches: usize,
}

impl<'a> Keeper<'a> {
    /// For the run in the directory `run`.
    pub(crate) fn new(run: &'a RunDir, circumstances: Circumstances, conduct: &'a Conduct) -> Self {
        Self {
            run,
            checkpoints: Checkpoints::new(run.path().join(DIRECTORY), FORMAT),
            circumstances,
            conduct,
            last: Instant::now(),
            last_batches: 0,
        }
    }

    /// The newest checkpoint that is whole, and how long `metrics.jsonl` was then. Those that are damaged are told.
    ///
    /// # Errors
    /// [`TrainError::Begun`] if it is of other circumstances.
    pub(crate) fn newest(
        &mut self,
        config: &TrainConfig,
        [device, training]: [&Device; 2],
        log: &mut Log<'_>,
    ) -> Result<Option<(State, u64)>, TrainError> {
        let length = log.length();
        let read = |content: &[u8]| {
            let found = from_bytes(content, config, device, training)?;
            if found.metrics > length {
                return Err("it is newer than the metrics".into());
            }
            Ok(found)
        };
        let newest = self.checkpoints.newest(read, |line| log.warn(line))?;
        let Some(found) = newest else {
            return Ok(None);
        };
        let differences = found.circumstances.differences(&self.circumstances);
        if !differences.is_empty() {
            return Err(TrainError::Begun {
                path: self.run.path().to_path_buf(),
                what: "computed otherwise",
                differences,
            });
        }
        self.last_batches = found.state.counters.batches();
        Ok(Some((found.state, found.metrics)))
    }

    /// Whether a checkpoint is due.
    pub(crate) fn is_due(&self, state: &State) -> bool {
        let taken = state.counters.batches() - self.last_batches;
        let by_steps = self.conduct.every_steps.is_some_and(|every| taken >= every);
        let by_time = (self.conduct.every).is_some_and(|every| self.last.elapsed() >= every);
        taken > 0 && (by_steps || by_time)
    }

    /// Between two steps: write a checkpoint if one is due, and stop if that is asked for.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; others if the metrics can't be written.
    pub(crate) fn rest(&mut self, state: &State, log: &mut Log<'_>) -> Result<(), TrainError> {
        if log.is_stopped() {
            self.save(state, log)?;
            return Err(TrainError::Stopped);
        }
        if self.is_due(state) {
            self.try_save(state, log)?;
        }
        Ok(())
    }

    /// What was being done was ended by `error`: if by a stop, write a checkpoint. Returns the error to report.
    ///
    /// # Errors
    /// Always one.
    pub(crate) fn stopped<T>(
        &mut self,
        error: TrainError,
        state: &State,
        log: &mut Log<'_>,
    ) -> Result<T, TrainError> {
        if matches!(error, TrainError::Stopped) {
            self.save(state, log)?;
        }
        Err(error)
    }

    /// [`Keeper::save`]; that a checkpoint can't be written is told, and no reason to end a run.
    ///
    /// # Errors
    /// [`TrainError::Lost`].
    pub(crate) fn try_save(&mut self, state: &State, log: &mut Log<'_>) -> Result<(), TrainError> {
        let error = match self.save(state, log) {
            Ok(()) => return Ok(()),
            Err(error @ TrainError::Lost { .. }) => return Err(error),
            Err(error) => error,
        };
        // Not again at once.
        (self.last, self.last_batches) = (Instant::now(), state.counters.batches());
        log.warn(format!("there is no checkpoint: {}", with_causes(&error)))
    }

    /// Write a checkpoint, to the disk.
    ///
    /// # Errors
    /// [`TrainError::File`] or [`TrainError::Output`] if that fails, [`TrainError::Lost`] if it is not this process's to do.
    pub(crate) fn save(&mut self, state: &State, log: &mut Log<'_>) -> Result<(), TrainError> {
        self.run.check_ours()?;
        let metrics = log.sync()?;
        // Steps may be undone; by batches the names sort by age.
        let batches = state.counters.batches();
        let content = to_bytes(state, &self.circumstances, metrics);
        let content = content.map_err(|reason| TrainError::Output {
            path: self.run.path().join(DIRECTORY),
            reason,
        })?;
        self.checkpoints.write(batches, &content)?;
        (self.last, self.last_batches) = (Instant::now(), batches);
        Ok(())
    }
}

/// Read the content of a checkpoint, as a target of `fuzz/` does.
///
/// # Errors
/// What is wrong with it.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8], config: &TrainConfig, device: &Device) -> Result<(), String> {
    from_bytes(content, config, device, &device.clone().autodiff()).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use fpt_files::seal;
    use fpt_lab::Lab;
    use fpt_tasks::TaskName;

    use super::record::Found;
    use super::*;
    use crate::Experiment;

    /// Written by `fpt train --config configs/mini.toml --task record`, and stopped after step 44.
    const OF_VERSION_1: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/checkpoints/version-1.fpt"
    );

    fn config() -> TrainConfig {
        let lab = Lab::new();
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        experiment.run(&TaskName::MNLI, 0, &[]).unwrap().train
    }

    fn found(path: &Path, config: &TrainConfig) -> Result<Found, String> {
        let device = Device::flex();
        let bytes = fs::read(path).unwrap();
        let content = FORMAT.read(&bytes)?;
        from_bytes(content, config, &device, &device.clone().autodiff())
    }

    #[test]
    fn checkpoints_of_version_1_are_read() {
        let Found {
            state,
            circumstances,
            metrics,
        } = found(OF_VERSION_1.as_ref(), &config()).unwrap();
        assert_eq!(state.counters.step, 44);
        assert_eq!(state.prompt.shape(), [20, 64]);
        assert!(
            state
                .losses
                .iter()
                .all(|loss| loss.is_finite() && *loss > 0.0)
        );
        assert_eq!(
            (circumstances.device.as_str(), circumstances.parts),
            ("cpu", 1)
        );
        assert!(metrics > 0 && state.counters.flops > 0.0);
        assert!(state.counters.stage.is_some() && state.counters.no_prompt.is_some());
        // What was read is written as it was, but for the optimizer's own format.
        let again = to_bytes(&state, &circumstances, metrics).unwrap();
        let training = Device::flex().autodiff();
        let again = from_bytes(&again, &config(), &Device::flex(), &training).unwrap();
        assert!(again.state.losses == state.losses && again.metrics == metrics);
        assert!(again.state.prompt.values() == state.prompt.values());
        assert_eq!(again.state.prompt.weight.id, state.prompt.weight.id);
    }

    #[test]
    fn checkpoints_are_whole_or_of_no_use() {
        let whole = fs::read(OF_VERSION_1).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("damaged.fpt");
        let config = config();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            found(&path, &config).err().unwrap()
        };
        for length in (0..whole.len()).step_by(640) {
            assert!(refused(&whole[..length]).contains("cut short or damaged"));
        }
        for place in (0..whole.len()).step_by(997) {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            refused(&flipped);
        }
        let content = FORMAT.read(&whole).unwrap();
        let newer = refused(&seal(FORMAT.kind, VERSION + 1, content));
        let version = format!("version {}", VERSION + 1);
        assert!(newer.contains(&version), "{newer}");
        // Sealed, but with moments of tensors that have more dimensions than there are.
        let mut strange = content.to_vec();
        let rank = b"__rank\xa1dUInt";
        let place = strange.windows(rank.len()).position(|it| it == rank);
        strange[place.unwrap() + rank.len()] = 23;
        let reason = refused(&seal(FORMAT.kind, VERSION, &strange));
        assert!(reason.contains("optimizer is of another kind"), "{reason}");
        // Sealed, but no state.
        for content in [&b""[..], b"{}", &content[..content.len() - 1]] {
            refused(&seal(FORMAT.kind, VERSION, content));
        }
    }
}
