//! Which parts of a model stay, given how many.

use fpt_schedule::{PartialSize, StackSize};
use fpt_t5::T5Config;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{PartialError, Scores, Selection, StackScores, StackSelection, even_layers, full_size};

/// How layers are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LayerRule {
    /// Evenly spread, first and last included: the paper's.
    #[default]
    Even,
    /// The first ones.
    First,
    /// Those that change the residual stream most.
    Score,
}

/// How FFN neurons are chosen, layer by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NeuronRule {
    /// Those with the highest mean |activation|: the paper's.
    #[default]
    Activation,
    /// The first ones.
    First,
    /// Any, drawn by the seed.
    Random,
}

/// How attention heads are chosen, layer by layer; self-attention and cross-attention each for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HeadRule {
    /// Those with the highest mean |output|.
    #[default]
    Output,
    /// Those with the highest mean |output · gradient|.
    Gradient,
    /// The first ones.
    First,
    /// Any, drawn by the seed.
    Random,
}

/// How a partial model is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SelectionRules {
    /// Layers.
    pub layers: LayerRule,
    /// FFN neurons.
    pub neurons: NeuronRule,
    /// Attention heads.
    pub heads: HeadRule,
}

/// What a size asks of the scores; what needs gradients needs the rest, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// No scores.
    Nothing,
    /// Those that a forward pass gives.
    Forward,
    /// Those that take gradients, too.
    Gradients,
}

impl SelectionRules {
    /// Which scores [`Self::select`] needs for `size` of a model.
    pub fn needs(&self, size: &PartialSize, config: &T5Config) -> Needs {
        let full = full_size(config);
        let fewer = |get: fn(&StackSize) -> usize| {
            get(&size.encoder) < get(&full.encoder) || get(&size.decoder) < get(&full.decoder)
        };
        let heads = fewer(|s| s.heads);
        if heads && self.heads == HeadRule::Gradient {
            return Needs::Gradients;
        }
        let forward = heads && self.heads == HeadRule::Output
            || fewer(|s| s.d_ff) && self.neurons == NeuronRule::Activation
            || fewer(|s| s.layers) && self.layers == LayerRule::Score;
        if forward {
            Needs::Forward
        } else {
            Needs::Nothing
        }
    }

    /// The parts of a model that make up `size`. Random draws depend on `seed`, stack and layer alone. Except
    /// for evenly spread layers, selections are nested: what a smaller size keeps, a larger one keeps, too.
    ///
    /// # Errors
    /// [`PartialError`] if the size does not fit the model, or scores are needed that are not there.
    pub fn select(
        &self,
        size: &PartialSize,
        config: &T5Config,
        scores: Option<&Scores>,
        seed: u64,
    ) -> Result<Selection, PartialError> {
        if let Some(scores) = scores {
            scores.check(config)?;
        }
        let full = full_size(config);
        Ok(Selection {
            encoder: Stack {
                name: "encoder",
                full: full.encoder,
                scores: scores.map(|scores| &scores.encoder),
                cross: false,
                seed,
            }
            .select(self, size.encoder)?,
            decoder: Stack {
                name: "decoder",
                full: full.decoder,
                scores: scores.map(|scores| &scores.decoder),
                cross: true,
                seed,
            }
            .select(self, size.decoder)?,
        })
    }
}

/// A stack to choose from.
struct Stack<'a> {
    name: &'static str,
    full: StackSize,
    scores: Option<&'a StackScores>,
    cross: bool,
    seed: u64,
}

/// How the items of one layer are ordered, the most important first.
enum Order<'a> {
    AsTheyAre,
    Shuffled(&'static str),
    By(&'a [Vec<f64>]),
}

impl Stack<'_> {
    fn select(
        &self,
        rules: &SelectionRules,
        size: StackSize,
    ) -> Result<StackSelection, PartialError> {
        for (what, wanted, available) in [
            ("layers", size.layers, self.full.layers),
            ("d_ff", size.d_ff, self.full.d_ff),
            ("heads", size.heads, self.full.heads),
        ] {
            if wanted == 0 || wanted > available {
                return Err(PartialError::Size {
                    stack: self.name,
                    what,
                    wanted,
                    available,
                });
            }
        }
        let layers = self.layers(rules.layers, size.layers)?;
        let neurons = match rules.neurons {
            _ if size.d_ff == self.full.d_ff => Order::AsTheyAre,
            NeuronRule::Activation => {
                Order::By(&self.scores("activation", "neuron scores")?.neurons)
            }
            NeuronRule::First => Order::AsTheyAre,
            NeuronRule::Random => Order::Shuffled("neurons"),
        };
        let (heads, cross_heads) = self.heads(rules.heads, size.heads)?;
        let pick = |order: &Order<'_>, available: usize, keep: usize| -> Vec<Vec<usize>> {
            let kept = |&layer: &usize| self.top(order, layer, available, keep);
            layers.iter().map(kept).collect()
        };
        Ok(StackSelection {
            neurons: pick(&neurons, self.full.d_ff, size.d_ff),
            heads: pick(&heads, self.full.heads, size.heads),
            cross_heads: if self.cross {
                pick(&cross_heads, self.full.heads, size.heads)
            } else {
                Vec::new()
            },
            layers,
        })
    }

    fn layers(&self, rule: LayerRule, keep: usize) -> Result<Vec<usize>, PartialError> {
        Ok(match rule {
            LayerRule::Even => even_layers(self.full.layers, keep),
            LayerRule::First => (0..keep).collect(),
            LayerRule::Score if keep == self.full.layers => (0..keep).collect(),
            LayerRule::Score => highest(&self.scores("score", "layer scores")?.layers, keep),
        })
    }

    /// The orders of self-attention and cross-attention heads.
    fn heads(&self, rule: HeadRule, keep: usize) -> Result<(Order<'_>, Order<'_>), PartialError> {
        Ok(match rule {
            _ if keep == self.full.heads => (Order::AsTheyAre, Order::AsTheyAre),
            HeadRule::First => (Order::AsTheyAre, Order::AsTheyAre),
            HeadRule::Random => (Order::Shuffled("heads"), Order::Shuffled("cross_heads")),
            HeadRule::Output => {
                let scores = self.scores("output", "head scores")?;
                (
                    Order::By(&scores.heads_output),
                    Order::By(&scores.cross_heads_output),
                )
            }
            HeadRule::Gradient => {
                const WHAT: &str = "head scores with gradients";
                let scores = self.scores("gradient", WHAT)?;
                if scores.heads_gradient.is_empty() {
                    return Err(PartialError::NoScores {
                        rule: "gradient",
                        what: WHAT,
                    });
                }
                (
                    Order::By(&scores.heads_gradient),
                    Order::By(&scores.cross_heads_gradient),
                )
            }
        })
    }

    fn scores(&self, rule: &'static str, what: &'static str) -> Result<&StackScores, PartialError> {
        self.scores.ok_or(PartialError::NoScores { rule, what })
    }

    /// The first `keep` of a layer's `available` items, in index order.
    fn top(&self, order: &Order<'_>, layer: usize, available: usize, keep: usize) -> Vec<usize> {
        match order {
            Order::AsTheyAre => (0..keep).collect(),
            Order::By(scores) => highest(&scores[layer], keep),
            Order::Shuffled(what) => {
                // A permutation, of which the start is taken: so a larger share holds the smaller.
                let mut items: Vec<usize> = (0..available).collect();
                items.shuffle(&mut self.stream(what, layer));
                items.truncate(keep);
                items.sort_unstable();
                items
            }
        }
    }

    /// A random stream of its own for every stack, layer and kind of item: the key is the seed and, in 24 bytes, a
    /// name.
    fn stream(&self, what: &str, layer: usize) -> ChaCha8Rng {
        let name = format!("{}.{what}.{layer}", self.name);
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        for (byte, letter) in key[8..].iter_mut().zip(name.bytes()) {
            *byte = letter;
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// The indices of the `keep` highest scores, in index order; of equal scores the first counts as higher.
fn highest(scores: &[f64], keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(keep);
    order.sort_unstable();
    order
}
