#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod error;
mod fingerprint;
mod whole;

pub use error::FileError;
pub use fingerprint::Fingerprint;
pub use whole::{create_parents, write, write_path, write_with};
