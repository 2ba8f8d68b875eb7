#![doc = include_str!("../README.md")]

mod corpus;
pub mod entities;
mod error;
pub mod fact;
mod forms;
#[cfg(feature = "pretrain")]
mod pretrain;
pub mod relation;
mod tasks;
mod tokenizer;
pub mod world;

pub use corpus::{Corpus, Difficulty, Document, Segment, Seq2Seq, Skill};
pub use error::WorldError;
#[cfg(feature = "pretrain")]
pub use pretrain::{
    Curriculum, LossPoint, ModelShape, PretrainConfig, PretrainEvent, PretrainLog, pretrain,
};
pub use tasks::{GENERATOR_VERSION, TaskOptions, write_mnli, write_tasks};
pub use tokenizer::{tokenizer, write_tokenizer};
