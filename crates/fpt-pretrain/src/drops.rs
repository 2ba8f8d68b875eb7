//! What is left out of the model in a step.

use fpt_partial::{Selection, StackSelection, shape};
use fpt_schedule::StackSize;
use fpt_t5::T5Config;
use rand::seq::index::sample;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::stream::{DROPS, stream};
use crate::{Dropped, Drops, PretrainConfig};

/// What each shard of the batch of `step` keeps of the model; `None` where that is all. All keep as much, so that none
/// waits for another, but each keeps other parts.
pub(crate) fn kept(
    config: &PretrainConfig,
    model: &T5Config,
    step: usize,
) -> Vec<Option<Selection>> {
    let seed = stream(stream(config.seed, DROPS), step as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = config.drops.as_ref().and_then(|drops| {
        let probability = drops.at(step as f64 / config.steps as f64);
        (rng.random::<f64>() < probability).then(|| Size::draw(drops, &mut rng))
    });
    let of_shard = |_| size.as_ref().map(|size| size.parts(model, &mut rng));
    (0..config.shards).map(of_shard).collect()
}

/// How much of the model stays.
struct Size {
    /// Of the layers.
    depth: f64,
    /// Of the neurons of each layer.
    neurons: f64,
    /// Of the heads of each layer.
    heads: f64,
    /// Whether the decoder is as small; else all of it stays.
    decoder: bool,
}

impl Size {
    fn draw(drops: &Drops, rng: &mut impl Rng) -> Self {
        let share = drops.least + (1.0 - drops.least) * rng.random::<f64>();
        let kind = &drops.kinds[rng.random_range(0..drops.kinds.len())];
        let of = |what| if kind.contains(&what) { share } else { 1.0 };
        Self {
            depth: of(Dropped::Layers),
            neurons: of(Dropped::Neurons),
            heads: of(Dropped::Heads),
            decoder: rng.random(),
        }
    }

    /// Any parts of that size.
    fn parts(&self, model: &T5Config, rng: &mut impl Rng) -> Selection {
        let full = shape(model).full();
        Selection {
            encoder: self.stack(&full.encoder, false, rng),
            decoder: if self.decoder {
                self.stack(&full.decoder, true, rng)
            } else {
                Selection::full(model).decoder
            },
        }
    }

    /// Of a stack and what is in it, at least one of each.
    fn stack(&self, size: &StackSize, cross: bool, rng: &mut impl Rng) -> StackSelection {
        let layers = some(size.layers, self.depth, rng);
        let mut in_each = |count: usize, share: f64| -> Vec<Vec<usize>> {
            layers.iter().map(|_| some(count, share, rng)).collect()
        };
        StackSelection {
            neurons: in_each(size.d_ff, self.neurons),
            heads: in_each(size.heads, self.heads),
            cross_heads: if cross {
                in_each(size.heads, self.heads)
            } else {
                Vec::new()
            },
            layers,
        }
    }
}

fn some(count: usize, share: f64, rng: &mut impl Rng) -> Vec<usize> {
    let amount = (count as f64 * share).round() as usize;
    let mut kept = sample(rng, count, amount.clamp(1, count)).into_vec();
    kept.sort_unstable();
    kept
}
