//! The recipe: everything that determines the weights.

use std::path::{Path, PathBuf};

use fpt_t5::{EosTokenId, FeedForwardKind, T5Config};
use fpt_world::Difficulty;
use serde::{Deserialize, Serialize};

use crate::PretrainError;

/// Everything that determines the pre-trained weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of weights and corpus.
    pub seed: u64,
    /// A model of this shape to go on from, its directory relative to the file, instead of fresh weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// Optimizer steps.
    pub steps: usize,
    /// Documents a step.
    pub batch_size: usize,
    /// Parts of a batch that are computed on a thread each. Part of the recipe, not of the machine: it
    /// fixes the order of summation, so the weights do not depend on the number of cores.
    pub shards: usize,
    /// Batches that are drawn together and sorted by length, to spare padding.
    pub pool: usize,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Share of the steps after which the learning rates decay linearly to `final_rate`.
    pub decay_from: f64,
    /// What is left of the learning rates at the end.
    pub final_rate: f64,
    /// Learning rate of Muon, for the matrices of the blocks, scaled by `0.2·sqrt(max(rows, columns))`.
    pub muon_learning_rate: f64,
    /// Weight decay of Muon.
    pub muon_weight_decay: f32,
    /// Learning rate of AdamW, for everything else.
    pub adam_learning_rate: f64,
    /// Factor on AdamW's learning rate for the relative-position bias.
    pub bias_rate_factor: f64,
    /// Standard deviation of the initial relative-position bias.
    pub bias_std: f64,
    /// Steps between two checkpoints and measurements of the skills.
    pub save_every: usize,
    /// Examples a skill in the final measurement.
    pub probe_examples: usize,
    /// How the stories grow.
    pub curriculum: Curriculum,
    /// What is left out of the model in some steps; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops: Option<Drops>,
    /// Shape of the model; the vocabulary is the tokenizer's.
    pub model: ModelShape,
}

/// How documents become harder: every `share` of the steps adds a fact to the longest stories, up to
/// `max_facts`, while statements are repeated in other words ever more often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curriculum {
    /// Share of all steps a level takes.
    pub share: f64,
    /// Facts of the longest stories at the end.
    pub max_facts: usize,
    /// Probability of other words at the start.
    pub other_wording_start: f64,
    /// What each level adds to it.
    pub other_wording_step: f64,
    /// Probability of other words at the end.
    pub other_wording_end: f64,
    /// Shares of the steps between which the corpus moves from copying and comparing to inference and
    /// questions about stories.
    pub applied: [f64; 2],
}

impl Curriculum {
    /// Difficulty at `progress` in 0..1.
    pub fn at(&self, progress: f64) -> Difficulty {
        let level = progress / self.share;
        Difficulty {
            max_facts: (1 + level as usize).min(self.max_facts),
            other_wording: (self.other_wording_start + level * self.other_wording_step)
                .min(self.other_wording_end),
            applied: rise(self.applied, progress),
        }
    }

    /// The hardest documents.
    pub fn full(&self) -> Difficulty {
        Difficulty {
            max_facts: self.max_facts,
            other_wording: self.other_wording_end,
            applied: 1.0,
        }
    }
}

/// How parts of the model are left out in training, so that what is left keeps working when parts are left out later
/// (structured dropout: Fan et al. 2020, *Reducing Transformer Depth on Demand with Structured Dropout*).
///
/// A reduced step loses parts of the encoder alone or of both stacks (as likely). How much stays is drawn uniformly between
/// `least` and all, the same of whatever is reduced, and then which: all parts are as likely as each other, so that no rule
/// of selection is favoured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drops {
    /// Share of the steps that are taken with a reduced model, once it is reached.
    pub share: f64,
    /// The least share of layers, neurons or heads that stays.
    pub least: f64,
    /// What a reduced step loses: one of these lists, each as likely as the others.
    #[serde(default = "each_kind")]
    pub kinds: Vec<Vec<Dropped>>,
    /// Shares of the steps between which `share` is reached.
    pub ramp: [f64; 2],
    /// The share of the steps at the end, when the whole model is to get its due.
    pub last_share: f64,
    /// Shares of the steps between which `share` becomes `last_share`.
    pub fall: [f64; 2],
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dropped {
    /// Whole layers.
    Layers,
    /// Neurons of every feed-forward network.
    Neurons,
    /// Heads of every attention.
    Heads,
}

/// Depth, width, or both.
fn each_kind() -> Vec<Vec<Dropped>> {
    use Dropped::{Heads, Layers, Neurons};
    vec![
        vec![Layers],
        vec![Neurons, Heads],
        vec![Layers, Neurons, Heads],
    ]
}

impl Drops {
    /// The probability that a step is reduced at `progress` in 0..1.
    pub fn at(&self, progress: f64) -> f64 {
        let fall = (self.last_share - self.share) * rise(self.fall, progress);
        self.share * rise(self.ramp, progress) + fall
    }
}

/// From 0 to 1 between two shares of the steps.
fn rise([from, to]: [f64; 2], progress: f64) -> f64 {
    ((progress - from) / (to - from)).clamp(0.0, 1.0)
}

/// The shape of the scale model, in Hugging Face's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Neurons of a feed-forward network.
    pub d_ff: usize,
    /// Heads of a layer.
    pub num_heads: usize,
    /// Encoder layers.
    pub num_layers: usize,
    /// Decoder layers.
    pub num_decoder_layers: usize,
    /// Buckets of the relative-position bias.
    pub relative_attention_num_buckets: usize,
    /// Distance from which on all positions share the last bucket.
    pub relative_attention_max_distance: usize,
}

/// Of whatever is counted: far more than any recipe has.
const MOST: usize = 10_000_000;
const SOME_VOCABULARY: usize = 1 << 10;

impl PretrainConfig {
    /// Read a TOML file.
    ///
    /// # Errors
    /// [`PretrainError::Config`] names file, line and key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PretrainError> {
        let path = path.as_ref();
        let fail = |reason: String| PretrainError::Config {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.start = config.start.map(|start| base.join(start));
        for (key, value) in [
            ("steps", config.steps),
            ("batch_size", config.batch_size),
            ("shards", config.shards),
            ("pool", config.pool),
            ("save_every", config.save_every),
            ("probe_examples", config.probe_examples),
            ("curriculum.max_facts", config.curriculum.max_facts),
        ] {
            if value == 0 {
                return Err(fail(format!("`{key}` must be at least 1")));
            }
            if value > MOST {
                return Err(fail(format!("`{key}` is {value}, more than {MOST}")));
            }
        }
        for (key, value) in config.rates() {
            if !(value.is_finite() && value >= 0.0) {
                return Err(fail(format!(
                    "`{key}` is {value}, but must be a number that is not negative"
                )));
            }
        }
        // The vocabulary is the tokenizer's: any will do to look at the rest.
        let shape = config.model_config(SOME_VOCABULARY).check();
        shape.map_err(|reason| fail(format!("in [model]: {reason}")))?;
        if config.shards > config.batch_size {
            return Err(fail("`shards` must not exceed `batch_size`".into()));
        }
        for (key, [from, to]) in config.ramps() {
            if from >= to {
                let reason = format!("`{key}` must be two increasing shares of the steps");
                return Err(fail(reason));
            }
        }
        if (config.drops.as_ref()).is_some_and(|drops| drops.kinds.is_empty()) {
            return Err(fail("`drops.kinds` is empty".into()));
        }
        if (config.drops.as_ref()).is_some_and(|drops| drops.ramp[1] > drops.fall[0]) {
            return Err(fail(
                "`drops.fall` must not begin before `drops.ramp` ends".into(),
            ));
        }
        for (key, value) in config.shares() {
            if value > 1.0 {
                return Err(fail(format!("`{key}` is {value}, more than all")));
            }
        }
        Ok(config)
    }

    /// What is a share, and nothing where there are no drops.
    fn shares(&self) -> Vec<(&'static str, f64)> {
        let shares = |drops: &Drops| {
            [
                ("drops.share", drops.share),
                ("drops.least", drops.least),
                ("drops.last_share", drops.last_share),
            ]
        };
        self.drops.iter().flat_map(shares).collect()
    }

    /// From where to where something changes.
    fn ramps(&self) -> Vec<(&'static str, [f64; 2])> {
        let drops = |drops: &Drops| [("drops.ramp", drops.ramp), ("drops.fall", drops.fall)];
        let mut ramps = vec![("curriculum.applied", self.curriculum.applied)];
        ramps.extend(self.drops.iter().flat_map(drops));
        ramps
    }

    /// All that is no count.
    fn rates(&self) -> Vec<(&'static str, f64)> {
        let curriculum = &self.curriculum;
        let ends = |(key, ends): (_, [f64; 2])| ends.map(|share| (key, share));
        let ramps = self.ramps().into_iter().flat_map(ends);
        let rates = [
            ("decay_from", self.decay_from),
            ("final_rate", self.final_rate),
            ("muon_learning_rate", self.muon_learning_rate),
            ("muon_weight_decay", f64::from(self.muon_weight_decay)),
            ("adam_learning_rate", self.adam_learning_rate),
            ("bias_rate_factor", self.bias_rate_factor),
            ("bias_std", self.bias_std),
            ("curriculum.share", curriculum.share),
            (
                "curriculum.other_wording_start",
                curriculum.other_wording_start,
            ),
            (
                "curriculum.other_wording_step",
                curriculum.other_wording_step,
            ),
            ("curriculum.other_wording_end", curriculum.other_wording_end),
        ];
        rates
            .into_iter()
            .chain(self.shares())
            .chain(ramps)
            .collect()
    }

    /// The model's configuration for a tokenizer of `vocab_size` entries.
    pub fn model_config(&self, vocab_size: usize) -> T5Config {
        let shape = &self.model;
        T5Config {
            vocab_size,
            d_model: shape.d_model,
            d_kv: shape.d_kv,
            d_ff: shape.d_ff,
            num_heads: shape.num_heads,
            num_layers: shape.num_layers,
            num_decoder_layers: Some(shape.num_decoder_layers),
            relative_attention_num_buckets: shape.relative_attention_num_buckets,
            relative_attention_max_distance: shape.relative_attention_max_distance,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: FeedForwardKind::GatedGelu,
            tie_word_embeddings: false,
            scale_decoder_outputs: None,
            pad_token_id: Some(0),
            eos_token_id: EosTokenId::default(),
            decoder_start_token_id: 0,
            others: others(),
        }
    }

    /// The factor on all learning rates at `step` (from 0).
    pub fn rate(&self, step: usize) -> f64 {
        let warmup = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let progress = step as f64 / self.steps as f64;
        let decay = if progress < self.decay_from {
            1.0
        } else {
            (1.0 - progress) / (1.0 - self.decay_from)
        };
        warmup * decay.max(self.final_rate)
    }
}

/// Keys of `config.json` that are none of the model's arithmetic: it is trained without dropout, for one.
fn others() -> serde_json::Map<String, serde_json::Value> {
    let pairs = [
        ("dropout_rate", 0.0.into()),
        ("initializer_factor", 1.0.into()),
        ("is_encoder_decoder", true.into()),
        ("use_cache", true.into()),
    ];
    pairs
        .map(|(key, value)| (key.to_string(), value))
        .into_iter()
        .collect()
}
