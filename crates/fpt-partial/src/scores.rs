//! How important the parts of a model are.

use fpt_t5::T5Config;
use serde::{Deserialize, Serialize};

use crate::{PartialError, full_size};

/// How important the parts of a model are. The larger, the more important.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Of the encoder.
    pub encoder: StackScores,
    /// Of the decoder.
    pub decoder: StackScores,
}

/// Scores of a stack, a list a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackScores {
    /// How much each layer changes the residual stream: 1 minus the mean cosine between what enters and what
    /// leaves it (block influence; Men et al., 2024, *ShortGPT*).
    pub layers: Vec<f64>,
    /// Mean |activation| of each FFN neuron over real positions (paper, section 3.1).
    pub neurons: Vec<Vec<f64>>,
    /// Mean |output| of each self-attention head over real positions and its components.
    pub heads_output: Vec<Vec<f64>>,
    /// Mean over examples of |output · gradient of the sample's mean loss| of each self-attention head (Michel et al., 2019);
    /// empty where no gradients were computed.
    #[serde(default)]
    pub heads_gradient: Vec<Vec<f64>>,
    /// [`Self::heads_output`] of the cross-attention; empty for an encoder.
    #[serde(default)]
    pub cross_heads_output: Vec<Vec<f64>>,
    /// [`Self::heads_gradient`] of the cross-attention; empty for an encoder.
    #[serde(default)]
    pub cross_heads_gradient: Vec<Vec<f64>>,
}

impl Scores {
    /// # Errors
    /// [`PartialError::OtherModel`] if these are not scores of a model with this configuration.
    pub fn check(&self, config: &T5Config) -> Result<(), PartialError> {
        let size = full_size(config);
        for (name, scores, size, cross) in [
            ("encoder", &self.encoder, size.encoder, 0),
            ("decoder", &self.decoder, size.decoder, size.decoder.layers),
        ] {
            let gradients = !scores.heads_gradient.is_empty();
            let with_gradients = |count: usize| if gradients { count } else { 0 };
            let lists = [
                ("neurons", &scores.neurons, size.layers, size.d_ff),
                (
                    "heads_output",
                    &scores.heads_output,
                    size.layers,
                    size.heads,
                ),
                (
                    "heads_gradient",
                    &scores.heads_gradient,
                    with_gradients(size.layers),
                    size.heads,
                ),
                (
                    "cross_heads_output",
                    &scores.cross_heads_output,
                    cross,
                    size.heads,
                ),
                (
                    "cross_heads_gradient",
                    &scores.cross_heads_gradient,
                    with_gradients(cross),
                    size.heads,
                ),
            ];
            let layers = [("layers", scores.layers.len())];
            let counts = lists.iter().map(|(what, lists, ..)| (*what, lists.len()));
            let wanted = std::iter::once(size.layers).chain(lists.iter().map(|list| list.2));
            for ((what, found), wanted) in layers.into_iter().chain(counts).zip(wanted) {
                if found != wanted {
                    return Err(PartialError::OtherModel {
                        reason: format!("{name}.{what} has {found} layers, the model {wanted}"),
                    });
                }
            }
            for (what, lists, _, width) in lists {
                if let Some(list) = lists.iter().find(|list| list.len() != width) {
                    return Err(PartialError::OtherModel {
                        reason: format!(
                            "{name}.{what} has {} entries a layer, the model {width}",
                            list.len()
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
