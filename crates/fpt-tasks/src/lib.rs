#![doc = include_str!("../README.md")]

mod baseline;
pub mod batch;
pub mod check;
pub mod declared;
mod example;
mod files;
pub mod metrics;
mod name;
mod paper;
mod read;
mod registry;
mod submit;
mod task;
mod tasks;
mod text;
mod tokenize;

pub use baseline::Baseline;
pub use batch::{
    BatchError, BatchLimits, EvalBatches, IGNORED_LABEL, PAD_ID, PadTo, TokenBatch, TrainBatches,
};
pub use check::{CheckOptions, Report, check, check_from};
pub use declared::{Declaration, DeclarationError, DeclaredTask};
pub use example::{Candidate, Dataset, Example, Gold};
pub use files::read_split;
pub use metrics::{ScoreError, Scores};
pub use name::{InvalidName, Split, TaskName, UnknownName};
pub use paper::PaperFigures;
pub use read::{LabelColumn, Sink, TableFormat, TaskError, Warning, Warnings};
pub use registry::{TakenName, Tasks};
pub use submit::{Submission, SubmissionFormat, SubmitError, Submitted, write_submission};
pub use task::{Answers, Stacks, Task};
pub use tasks::{Mnli, Qqp, Record, Squad2, Xsum};
pub use tokenize::{
    Cut, Cuts, Lengths, PAPER_SOURCE_LENGTH, SENTINEL, TokenizeError, Tokenized, TokenizedExample,
    cut, tokenize,
};
