#![doc = include_str!("../README.md")]

mod adapter;
mod error;
mod init;
mod load;
mod npy;
mod prompt;
mod similarity;

pub use adapter::{
    AdapterInfo, InitKind, adapter_base_model, adapter_weights, load_adapter, save_adapter,
};
/// The version of Burn whose tensors and devices this API has.
pub use burn;
pub use error::PromptError;
pub use init::PromptInit;
pub use load::load_prompt;
pub use npy::load_npy;
pub use prompt::SoftPrompt;
pub use similarity::{Activations, Similarity, similarity};
