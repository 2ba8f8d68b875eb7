//! What is left out of the model in a step.

use fpt_partial::{Selection, StackSelection, shape};
use fpt_schedule::StackSize;
use fpt_t5::T5Config;
use rand::seq::index::sample;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::PretrainConfig;
use crate::stream::{DROPS, stream};

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
        (rng.random::<f64>() < probability).then(|| Size::draw(drops.least, &mut rng))
    });
    let of_shard = |_| size.as_ref().map(|size| size.parts(model, &mut rng));
    (0..config.shards).map(of_shard).collect()
}

/// How much of the model stays.
struct Size {
    /// Of the layers.
    depth: f64,
    /// Of the neurons and heads of each layer.
    width: f64,
    /// Whether the decoder is as small; else all of it stays.
    decoder: bool,
}

impl Size {
    fn draw(least: f64, rng: &mut impl Rng) -> Self {
        let share = least + (1.0 - least) * rng.random::<f64>();
        let kind = rng.random_range(0..3);
        Self {
            depth: if kind == 1 { 1.0 } else { share },
            width: if kind == 0 { 1.0 } else { share },
            decoder: rng.random(),
        }
    }

    /// Any parts of that size.
    fn parts(&self, model: &T5Config, rng: &mut impl Rng) -> Selection {
        let full = shape(model).full();
        let shares = [self.depth, self.width];
        Selection {
            encoder: stack(&full.encoder, false, shares, rng),
            decoder: if self.decoder {
                stack(&full.decoder, true, shares, rng)
            } else {
                Selection::full(model).decoder
            },
        }
    }
}

/// These shares of the layers of a stack and of what is in them, at least one of each.
fn stack(
    size: &StackSize,
    cross: bool,
    [depth, width]: [f64; 2],
    rng: &mut impl Rng,
) -> StackSelection {
    let layers = some(size.layers, depth, rng);
    let mut in_each = |count: usize| layers.iter().map(|_| some(count, width, rng)).collect();
    StackSelection {
        neurons: in_each(size.d_ff),
        heads: in_each(size.heads),
        cross_heads: if cross {
            in_each(size.heads)
        } else {
            Vec::new()
        },
        layers,
    }
}

fn some(count: usize, share: f64, rng: &mut impl Rng) -> Vec<usize> {
    let amount = (count as f64 * share).round() as usize;
    let mut kept = sample(rng, count, amount.clamp(1, count)).into_vec();
    kept.sort_unstable();
    kept
}
