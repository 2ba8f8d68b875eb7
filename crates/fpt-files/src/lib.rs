#![doc = include_str!("../README.md")]

mod causes;
mod checkpoints;
mod error;
mod fingerprint;
mod floats;
mod fresh_directory;
mod json;
#[cfg(test)]
mod listing;
mod lock;
mod model;
mod open;
mod publish;
mod safetensors;
mod sealed;
mod set_aside;
mod stale;
mod weights;
mod whole;
mod whole_directory;

pub use causes::with_causes;
pub use checkpoints::Checkpoints;
pub use error::FileError;
pub use fingerprint::{Fingerprint, is_sha256};
pub use floats::{FloatFormat, all_finite, numbers};
pub use fresh_directory::FreshDirectory;
pub use json::write_json;
pub use lock::{LOCK, Lease, Lock, Owner, Pace, Waiting, Watch, has_no_locks};
pub use model::{
    BUILT_IN_MODEL, ModelId, ModelSource, SourceError, is_commit_hash, without_revision,
};
pub use open::{open, read};
pub use publish::publish;
pub use safetensors::SafetensorsFile;
pub use sealed::{SealedFormat, Unsealed, seal, unseal};
pub use set_aside::set_aside;
pub use stale::remove_stale;
pub use weights::{WEIGHTS, WeightIndex, find_weights, is_index, weight_files};
pub use whole::{create_directory, create_parents, write, write_path, write_with};
pub use whole_directory::write_directory;
