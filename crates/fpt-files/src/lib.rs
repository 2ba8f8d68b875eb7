#![doc = include_str!("../README.md")]

mod error;
mod fingerprint;
mod floats;
mod model;
mod safetensors;
mod weights;
mod whole;

pub use error::FileError;
pub use fingerprint::{Fingerprint, is_sha256};
pub use floats::{FloatFormat, all_finite, numbers};
pub use model::{ModelId, ModelSource, SourceError, is_commit_hash, without_revision};
pub use safetensors::SafetensorsFile;
pub use weights::{WEIGHTS, WeightIndex, find_weights, is_index, weight_files};
pub use whole::{create_directory, create_parents, write, write_path, write_with};
