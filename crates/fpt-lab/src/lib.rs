#![doc = include_str!("../README.md")]
// All of this is test code.
#![allow(clippy::unwrap_used)]

mod expected;
pub mod hub;
mod lab;
mod outcome;
mod pinned;

pub use expected::{Expected, assert_close, assert_logits, values, visible};
pub use lab::{EXPERIMENT, Lab, shipped_model};
pub use outcome::{assert_same, outcome};
pub use pinned::assert_pinned;
