//! Equality with transformers' T5.
#![allow(clippy::unwrap_used)]

mod beams;
mod checkpoints;
mod fixture;
mod shipped_model;
mod transformers;
