//! What stays of a model.

use burn::nn::Linear;
use fpt_schedule::{ModelShape, PartialSize, StackSize};
use fpt_t5::{Attention, FeedForwardKind, T5, T5Config};
use serde::{Deserialize, Serialize};

use crate::PartialError;

/// What stays of a model, by index into the full model. Serialisable, so that a run can record exactly which
/// partial model it trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// What stays of the encoder.
    pub encoder: StackSelection,
    /// What stays of the decoder.
    pub decoder: StackSelection,
}

/// What stays of a stack. All lists are sorted and hold no index twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackSelection {
    /// Layers.
    pub layers: Vec<usize>,
    /// FFN neurons of each kept layer.
    pub neurons: Vec<Vec<usize>>,
    /// Self-attention heads of each kept layer.
    pub heads: Vec<Vec<usize>>,
    /// Cross-attention heads of each kept layer; empty for an encoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_heads: Vec<Vec<usize>>,
}

/// The dimensions of a model that schedules and costs need.
pub fn shape(config: &T5Config) -> ModelShape {
    ModelShape {
        d_model: config.d_model,
        d_kv: config.d_kv,
        d_ff: config.d_ff,
        heads: config.num_heads,
        encoder_layers: config.num_layers,
        decoder_layers: config.decoder_layers(),
        vocabulary: config.vocab_size,
        gated: config.feed_forward_proj == FeedForwardKind::GatedGelu,
        own_head: !config.tie_word_embeddings,
    }
}

/// The size of a model with nothing left out.
pub fn full_size(config: &T5Config) -> PartialSize {
    shape(config).full()
}

impl Selection {
    /// Everything.
    pub fn full(config: &T5Config) -> Self {
        let size = full_size(config);
        Self {
            encoder: StackSelection::full(&size.encoder, false),
            decoder: StackSelection::full(&size.decoder, true),
        }
    }

    /// Whether this is all of a model.
    pub fn is_full(&self, config: &T5Config) -> bool {
        *self == Self::full(config)
    }

    /// How much stays. Where layers keep different numbers of neurons or heads, those of the first count.
    pub fn size(&self) -> PartialSize {
        PartialSize {
            encoder: self.encoder.size(),
            decoder: self.decoder.size(),
        }
    }

    /// Check that this can be kept of `model`, which may be a partial model itself: then indices are those of what
    /// it has left.
    ///
    /// # Errors
    /// [`PartialError::Selection`] if an index is not in the model, or lists are empty, unsorted or too few.
    pub fn check(&self, model: &T5) -> Result<(), PartialError> {
        let encoder = model.encoder.block.iter().map(|block| LayerSize {
            neurons: rows(&block.feed_forward.wo),
            heads: heads(&block.attention),
            cross_heads: None,
        });
        let decoder = model.decoder.block.iter().map(|block| LayerSize {
            neurons: rows(&block.feed_forward.wo),
            heads: heads(&block.attention),
            cross_heads: Some(heads(&block.cross_attention)),
        });
        self.encoder
            .check("encoder", &encoder.collect::<Vec<_>>())?;
        self.decoder.check("decoder", &decoder.collect::<Vec<_>>())
    }
}

/// What a layer has.
struct LayerSize {
    neurons: usize,
    heads: usize,
    cross_heads: Option<usize>,
}

fn rows(linear: &Linear) -> usize {
    linear.weight.dims()[0]
}

fn heads(attention: &Attention) -> usize {
    rows(&attention.o) / attention.d_kv()
}

impl StackSelection {
    fn full(size: &StackSize, cross: bool) -> Self {
        let each_layer = |count: usize| vec![(0..count).collect(); size.layers];
        Self {
            layers: (0..size.layers).collect(),
            neurons: each_layer(size.d_ff),
            heads: each_layer(size.heads),
            cross_heads: if cross {
                each_layer(size.heads)
            } else {
                Vec::new()
            },
        }
    }

    fn size(&self) -> StackSize {
        let first = |lists: &[Vec<usize>]| lists.first().map_or(0, Vec::len);
        StackSize {
            layers: self.layers.len(),
            d_ff: first(&self.neurons),
            heads: first(&self.heads),
        }
    }

    fn check(&self, stack: &'static str, sizes: &[LayerSize]) -> Result<(), PartialError> {
        let fail = |reason: String| PartialError::Selection { stack, reason };
        let list = |what: &str, list: &[usize], limit: usize| {
            if list.is_empty() {
                return Err(fail(format!("{what} are none; keep at least one")));
            }
            if !list.is_sorted_by(|a, b| a < b) {
                return Err(fail(format!("{what} must be sorted, without repetition")));
            }
            match list.last() {
                Some(last) if *last >= limit => Err(fail(format!(
                    "{what} hold {last}, but the model has only {limit}"
                ))),
                _ => Ok(()),
            }
        };
        list("layers", &self.layers, sizes.len())?;
        let kept: Vec<&LayerSize> = self.layers.iter().map(|&layer| &sizes[layer]).collect();
        let limits = |get: fn(&LayerSize) -> Option<usize>| -> Vec<usize> {
            kept.iter().filter_map(|size| get(size)).collect()
        };
        for (what, lists, limits) in [
            ("neurons", &self.neurons, limits(|size| Some(size.neurons))),
            ("heads", &self.heads, limits(|size| Some(size.heads))),
            (
                "cross_heads",
                &self.cross_heads,
                limits(|size| size.cross_heads),
            ),
        ] {
            if lists.len() != limits.len() {
                return Err(fail(format!(
                    "{what} are given for {} layers, but should be for {}",
                    lists.len(),
                    limits.len()
                )));
            }
            for ((layer, kept), limit) in self.layers.iter().zip(lists).zip(limits) {
                list(&format!("{what} of layer {layer}"), kept, limit)?;
            }
        }
        Ok(())
    }
}
