//! Pre-training of the scale model on the corpus: span corruption in words other than the tasks'.
//!
//! The recipe is that of a small language model that has to learn to *copy*: block matrices by Muon, the
//! rest by AdamW, a large initial relative-position bias with a learning rate of its own (without it the
//! model stays a bag of words), and a curriculum from one fact a story to four.

mod batch;
mod config;
mod init;
mod optimizer;
mod probe;
mod run;

pub use config::{Curriculum, ModelShape, PretrainConfig};
pub use run::{LossPoint, PretrainEvent, PretrainLog, pretrain};
