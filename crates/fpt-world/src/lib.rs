#![doc = include_str!("../README.md")]

mod corpus;
pub mod entities;
mod error;
pub mod fact;
mod forms;
#[cfg(feature = "model")]
pub mod model;
pub mod relation;
mod tasks;
mod tokenizer;
pub mod world;

pub use corpus::{Corpus, Difficulty, Document, Segment, Seq2Seq, Skill};
pub use error::WorldError;
pub use tasks::{GENERATOR_VERSION, TaskOptions, write_mnli, write_tasks};
pub use tokenizer::{tokenizer, write_tokenizer};
