#![doc = include_str!("../README.md")]

mod cache;
mod config;
mod download;
mod error;
mod files;
mod http;
mod hub;

pub use fpt_files::{ModelId, ModelSource, SourceError};

pub use config::{HubConfig, Token};
pub use download::Progress;
pub use error::HubError;
pub use files::{FileChoice, FileSet};
pub use hub::{Hub, Snapshot};
