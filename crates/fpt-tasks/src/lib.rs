#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod batch;
pub mod check;
mod example;
mod kind;
pub mod metrics;
mod read;
mod submit;
mod tasks;
mod text;
mod tokenize;

pub use batch::{BatchError, BatchLimits, EvalBatches, PadTo, TokenBatch, TrainBatches};
pub use check::{CheckOptions, Report, check, check_from};
pub use example::{Candidate, Dataset, Example, Gold};
pub use kind::{Split, TaskKind, UnknownName};
pub use metrics::{ScoreError, Scores};
pub use read::{TaskError, Warning, Warnings};
pub use submit::{SubmitError, Submitted, submission_file, write_submission};
pub use tasks::{Baseline, Mnli, Qqp, Record, Squad2, Task, Xsum, read_split, split_path, task};
pub use tokenize::{Lengths, PAPER_SOURCE_LENGTH, TokenizeError, TokenizedExample, cut, tokenize};
