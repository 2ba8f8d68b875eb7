//! Configuration: an [`Experiment`] file names models, data and tasks; what it says about one task, resolved, is a
//! [`RunConfig`].

mod check;
mod experiment;
mod limits;
mod merge;
mod mistakes;
mod run;
mod slurm;
mod sweep;
mod tasks;

pub use experiment::{Experiment, GenerateConfig, MethodLists, TransferConfig};
pub use limits::{MOST_EXAMPLES, MOST_STEPS, MOST_TOKENS};
pub(crate) use run::task_of;
pub use run::{
    EvalConfig, EvalModel, LengthConfig, OnNonfinite, PromptConfig, RunConfig, RunNotes,
    ScoreConfig, SelectionConfig, TrainConfig,
};
pub use slurm::SlurmConfig;
pub use sweep::{Combination, SweepConfig};
pub use tasks::TaskList;
