#![doc = include_str!("../README.md")]
// All of this is test code.
#![allow(clippy::unwrap_used)]

mod expected;
pub mod hub;
mod lab;
mod pinned;

pub use expected::{Expected, assert_close, assert_logits, values, visible};
pub use lab::{EXPERIMENT, Lab, shipped_model};
pub use pinned::assert_pinned;
