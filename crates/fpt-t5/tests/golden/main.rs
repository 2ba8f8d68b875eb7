//! Equality with transformers' T5.
#![allow(clippy::unwrap_used)]

mod beams;
mod checkpoints;
mod shipped_model;
mod transformers;
