#![doc = include_str!("../README.md")]

mod attention;
mod cache;
mod checkpoint;
mod config;
mod decoder;
mod encoder;
mod error;
mod feed_forward;
mod fused;
mod generate;
mod lm;
mod loss;
mod mask;
mod model;
mod norm;
pub mod parity;
mod position;
mod rank;
mod recompute;
mod taps;
mod tokenizer;

pub use attention::{Attention, KeysValues, index};
/// The version of Burn whose tensors and devices this API has.
pub use burn;
pub use cache::KvCache;
pub use checkpoint::{Precision, SaveOptions, weight_files};
pub use config::{EosTokenId, FeedForwardKind, T5Config};
pub use decoder::{Decoder, DecoderBlock};
pub use encoder::{Encoder, EncoderBlock};
pub use error::T5Error;
pub use feed_forward::FeedForward;
pub use fused::AttentionBias;
pub use generate::Generation;
pub use lm::{Lm, LmBatch, prepend, reads_wait};
pub use loss::{IGNORED_LABEL, Loss};
pub use mask::prepend_visible;
pub use model::{EncoderOutput, T5};
pub use norm::T5LayerNorm;
pub use position::RelativePositionBias;
pub use recompute::Recompute;
pub use taps::{AttentionKind, MacCounter, NoTaps, StackKind, Taps};
pub use tokenizer::{AddedToken, SpecialTokens, SpieceOptions, T5Tokenizer};
