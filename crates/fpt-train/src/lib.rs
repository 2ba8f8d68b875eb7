#![doc = include_str!("../README.md")]

mod cache;
mod config;
mod error;
mod evaluate;
mod optimizer;
mod plan;
mod record;
mod run_dir;
mod score_cache;
mod session;
mod step;
mod token_cache;
mod trainer;
mod transfer;

pub use config::{
    EvalConfig, EvalModel, Experiment, GenerateConfig, LengthConfig, MethodLists, PromptConfig,
    RunConfig, ScoreConfig, SelectionConfig, TrainConfig, TransferConfig,
};
pub use error::TrainError;
pub use evaluate::{Predictor, batch_tensors};
pub use optimizer::adafactor;
pub use plan::{default_reduce, selections};
pub use record::{BaselineScore, Host, MetricRecord, RunResult, Seconds, StageRecord};
pub use run_dir::{FinishedRun, RunDir, finished_run};
pub use session::{FindModel, Session, SplitData, model_directory};
pub use step::Step;
pub use trainer::{Event, train};
pub use transfer::{SimilarityReport, TransferReport, similarities, transfers};
