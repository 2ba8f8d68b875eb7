//! Hugging Face checkpoints.

mod files;
mod keys;
mod load;
mod save;

pub use save::SaveOptions;
