//! Equality with transformers' T5, and what holds for any language model.
#![allow(clippy::unwrap_used)]

mod beams;
mod checkpoints;
mod lm;
mod precision;
mod rounded;
mod shipped_model;
mod transformers;
