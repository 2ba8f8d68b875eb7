//! All that changes during a run, and the checkpoints that it goes on from.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Tensor};
use fpt_files::{Checkpoints, SealedFormat, all_finite};
use fpt_t5::T5;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::{LossPoint, PretrainConfig, PretrainError};

/// A checkpoint is a safetensors file: the records of weights and optimizer as bytes, and in its metadata the rest.
pub(crate) const FORMAT: SealedFormat = SealedFormat {
    kind: "fpt-pretraining",
    version: 1,
    oldest: 1,
};
const PROGRESS: &str = "progress";
const MODEL: &str = "model";
const OPTIMIZER: &str = "optimizer";

/// What a checkpoint holds beside the weights and the optimizer.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) config: PretrainConfig,
    /// Steps taken.
    pub(crate) step: usize,
    /// Wall-clock seconds of all sittings.
    pub(crate) seconds: f64,
    /// The loss so far.
    pub(crate) curve: Vec<LossPoint>,
    /// The losses since its last point.
    pub(crate) recent: Vec<f64>,
}

/// Weights on their autodiff device, the optimizer's moments, and how far they are.
pub(crate) struct State {
    pub(crate) model: T5,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) progress: Progress,
}

impl State {
    /// Before the first step.
    pub(crate) fn new(config: &PretrainConfig, model: T5, optimizer: ModuleOptimizer) -> Self {
        let progress = Progress {
            config: config.clone(),
            step: 0,
            seconds: 0.0,
            curve: Vec::new(),
            recent: Vec::new(),
        };
        Self {
            model,
            optimizer,
            progress,
        }
    }

    /// Write a checkpoint.
    ///
    /// # Errors
    /// [`PretrainError::Diverged`] if a weight is not finite; [`PretrainError::File`], and all is as it was.
    pub(crate) fn save(&self, checkpoints: &Checkpoints) -> Result<(), PretrainError> {
        let step = self.progress.step;
        if !is_finite(&self.model) {
            return Err(PretrainError::Diverged { step });
        }
        let content = self.to_bytes().map_err(PretrainError::Train)?;
        Ok(checkpoints.write(step, &content)?)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let model = self.model.clone().into_record().into_bytes();
        let model = model.map_err(|error| error.to_string())?;
        let optimizer = self.optimizer.into_bytes();
        let optimizer = optimizer.map_err(|error| error.to_string())?;
        let progress = serde_json::to_string(&self.progress).map_err(|error| error.to_string())?;
        let records = [(MODEL, &model[..]), (OPTIMIZER, &optimizer[..])];
        let views = records.map(|(name, bytes)| {
            let view = TensorView::new(Dtype::U8, vec![bytes.len()], bytes);
            Ok((name, view.map_err(|error| error.to_string())?))
        });
        let views: Vec<_> = views.into_iter().collect::<Result<_, String>>()?;
        let metadata = [(PROGRESS.to_string(), progress)].into();
        safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
    }

    /// What [`State::save`] wrote, in the place of a fresh model and optimizer.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        model: T5,
        optimizer: ModuleOptimizer,
    ) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| text(&error))?;
        let progress = header.metadata().as_ref().and_then(|it| it.get(PROGRESS));
        let progress = progress.ok_or("it has no progress")?;
        let progress = serde_json::from_str(progress)
            .map_err(|error| format!("its progress can't be read: {error}"))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| text(&error))?;
        let record = |name: &str| -> Result<Bytes, String> {
            let record = file.tensor(name).map_err(|error| text(&error))?;
            Ok(Bytes::from_bytes_vec(record.data().to_vec()))
        };
        let weights = ModuleRecord::from_bytes(record(MODEL)?).map_err(|error| text(&error))?;
        let model = model
            .try_load_record(weights)
            .map_err(|error| text(&error))?;
        let optimizer = record(OPTIMIZER).map(|bytes| || optimizer.from_bytes(bytes))?;
        // Burn panics at some records that it has not written.
        let optimizer = catch_unwind(AssertUnwindSafe(optimizer));
        let optimizer = optimizer.map_err(|_| "its optimizer is of another kind")?;
        Ok(Self {
            model: model.train(),
            optimizer: optimizer.map_err(|error| text(&error))?,
            progress,
        })
    }
}

/// Whether no weight is NaN or infinite.
fn is_finite(model: &T5) -> bool {
    struct Finite(bool);

    impl ModuleVisitor for Finite {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().into_data();
            self.0 &= values.as_slice::<f32>().is_ok_and(all_finite);
        }
    }

    let mut finite = Finite(true);
    model.visit(&mut finite);
    finite.0
}

/// The content of a checkpoint, as a target of `fuzz/` makes and reads it.
#[cfg(fuzzing)]
#[allow(unreachable_pub, reason = "public in builds for fuzzing")]
pub mod fuzz {
    use super::State;
    use crate::optimizer::Optimizers;
    use crate::{PretrainConfig, PretrainError};
    use fpt_t5::T5;

    /// Of a model before the first step.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn written(config: &PretrainConfig, model: T5) -> Result<Vec<u8>, PretrainError> {
        let optimizer = Optimizers::new()?.build(config);
        let bytes = State::new(config, model, optimizer).to_bytes();
        bytes.map_err(PretrainError::Train)
    }

    /// In the place of `model`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8], config: &PretrainConfig, model: T5) -> Result<(), String> {
        let optimizers = Optimizers::new().map_err(|error| fpt_files::with_causes(&error))?;
        State::from_bytes(bytes, model, optimizers.build(config)).map(drop)
    }
}
