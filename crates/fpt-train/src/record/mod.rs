//! What a run tells and writes down.

mod event;
mod log;
mod purpose;
mod result;
mod tensorboard;

pub use event::{Event, MetricRecord};
pub(crate) use log::Log;
pub use purpose::Purpose;
pub use result::{BaselineScore, RunResult, Seconds, StageRecord};
