#![doc = include_str!("../README.md")]

mod error;
mod layers;
mod model;
mod rules;
mod scorer;
mod scores;
mod selection;

/// The version of Burn whose tensors and devices this API has.
pub use burn;
pub use error::PartialError;
pub use fpt_schedule::{PartialSize, StackSize};
pub use layers::even_layers;
pub use model::partial;
pub use rules::{HeadRule, LayerRule, Needs, NeuronRule, SelectionRules};
pub use scorer::Scorer;
pub use scores::{Scores, StackScores};
pub use selection::{Selection, StackSelection, full_size, shape};
