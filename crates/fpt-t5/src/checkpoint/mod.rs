//! Hugging Face checkpoints.

mod keys;
mod load;
mod save;
