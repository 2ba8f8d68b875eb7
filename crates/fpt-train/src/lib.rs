#![doc = include_str!("../README.md")]

mod answering;
mod average;
mod checkpoint;
mod compute;
mod conduct;
mod config;
mod error;
mod evaluate;
mod finish;
mod host;
mod inputs;
mod optimizer;
mod part;
mod plan;
mod rate;
mod record;
mod run_dir;
mod state;
mod step;
mod train;
mod trainer;
mod transfer;
mod unread;

/// Readers that only this crate calls, for the targets of `fuzz/`; part of no other build.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::checkpoint::fuzz as checkpoint;
    pub use crate::inputs::fuzzing::{scores, tokens};
}

pub use answering::Answering;
pub use average::Average;
/// The version of Burn whose tensors and devices this API has.
pub use burn;
pub use compute::Compute;
pub use conduct::{Begun, Conduct};
pub use config::{
    Combination, EvalConfig, EvalModel, Experiment, GenerateConfig, LengthConfig, MOST_EXAMPLES,
    MOST_STEPS, MOST_TOKENS, MethodLists, OnNonfinite, PromptConfig, RunConfig, RunNotes,
    ScoreConfig, SelectionConfig, SlurmConfig, SweepConfig, TaskList, TrainConfig, TransferConfig,
};
pub use error::TrainError;
pub use evaluate::{Predictor, batch_tensors};
pub use host::Host;
pub use inputs::{
    FindModel, Fingerprinter, Fingerprints, FoundModel, HubModel, Session, SplitData,
    content_of_examples, model_directory,
};
pub use optimizer::adafactor;
pub use plan::{Plan, PlannedStage};
pub use rate::RateSchedule;
pub use record::{BaselineScore, Event, MetricRecord, Purpose, RunResult, Seconds, StageRecord};
pub use run_dir::{Claim, FinishedRun, Prediction, finished_run};
pub use step::Step;
pub use train::train;
pub use transfer::{SimilarityReport, TransferReport, similarities, transfers};
