#![doc = include_str!("../README.md")]

mod config;
mod error;
mod evaluate;
mod optimizer;
mod record;
mod run_dir;
mod session;
mod trainer;

pub use config::{
    EvalConfig, Experiment, GenerateConfig, LengthConfig, PromptConfig, RunConfig, TrainConfig,
};
pub use error::TrainError;
pub use evaluate::{Predictor, batch_tensors};
pub use optimizer::adafactor;
pub use record::{BaselineScore, Host, MetricRecord, RunResult, Seconds};
pub use run_dir::{RunDir, finished_run};
pub use session::{Session, SplitData};
pub use trainer::{Event, train};
