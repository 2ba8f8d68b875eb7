//! Hugging Face checkpoints.

mod files;
mod keys;
mod load;
mod precision;
mod save;

pub use files::weight_files;
pub use precision::Precision;
pub use save::SaveOptions;
