//! `config.json` of a T5 checkpoint.

use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::T5Error;

/// Which feed-forward network a T5 has (`feed_forward_proj`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FeedForwardKind {
    /// `wo(gelu_new(wi_0 x) * wi_1 x)`: T5 v1.1, LM-adapted and Flan-T5.
    #[serde(rename = "gated-gelu")]
    GatedGelu,
    /// `wo(relu(wi x))`: the original T5.
    #[serde(rename = "relu")]
    Relu,
}

/// The shape of a T5, with the names of Hugging Face's `config.json`.
///
/// Checkpoints carry many keys that do not concern the model's arithmetic; these are kept as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Rows of the embedding, padding rows included.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head.
    pub d_kv: usize,
    /// Width of the feed-forward network's hidden layer.
    pub d_ff: usize,
    /// Attention heads of every layer; `num_heads * d_kv` need not equal `d_model`.
    pub num_heads: usize,
    /// Encoder layers.
    pub num_layers: usize,
    /// Decoder layers; absent means as many as the encoder has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_decoder_layers: Option<usize>,
    /// Buckets of the relative-position bias.
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
    /// Distance from which on all positions share the last bucket.
    #[serde(default = "default_max_distance")]
    pub relative_attention_max_distance: usize,
    /// Epsilon of the layer norm.
    #[serde(default = "default_epsilon")]
    pub layer_norm_epsilon: f64,
    /// The feed-forward network; absent means ReLU, as in Hugging Face.
    #[serde(default = "default_feed_forward")]
    pub feed_forward_proj: FeedForwardKind,
    /// Whether the output projection is the embedding (original T5) or a matrix of its own (v1.1).
    #[serde(default = "default_tied")]
    pub tie_word_embeddings: bool,
    /// Whether the decoder's output is multiplied by `d_model^-0.5`; absent means exactly when tied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_decoder_outputs: Option<bool>,
    /// Padding token; `null` means none of its own, and what ends a text pads, too. What is padded is never looked at.
    #[serde(default = "default_pad")]
    pub pad_token_id: Option<u32>,
    /// End-of-sequence token, or tokens.
    #[serde(default)]
    pub eos_token_id: EosTokenId,
    /// First input of the decoder; absent or `null` means 0, as in all T5s.
    #[serde(default, deserialize_with = "or_zero")]
    pub decoder_start_token_id: u32,
    /// What else the file has: it does not concern the model's arithmetic, and is written as it was.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// The tokens that end a text: one, as a rule, and never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenEos", into = "WrittenEos")]
pub struct EosTokenId(Vec<u32>);

/// A number or a list.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`eos_token_id` must be a token's id, or a list of such"
)]
enum WrittenEos {
    One(u32),
    Several(Vec<u32>),
    None(()),
}

impl EosTokenId {
    /// Whether this token ends a text.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// All of them.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

/// T5's, 1.
impl Default for EosTokenId {
    fn default() -> Self {
        Self(vec![1])
    }
}

impl TryFrom<WrittenEos> for EosTokenId {
    type Error = &'static str;

    fn try_from(written: WrittenEos) -> Result<Self, &'static str> {
        let ids = match written {
            WrittenEos::One(id) => vec![id],
            WrittenEos::Several(ids) => ids,
            WrittenEos::None(()) => Vec::new(),
        };
        if ids.is_empty() {
            return Err("`eos_token_id` names no token, so that no text would end; T5's is 1");
        }
        Ok(Self(ids))
    }
}

impl From<EosTokenId> for WrittenEos {
    fn from(EosTokenId(ids): EosTokenId) -> Self {
        match ids[..] {
            [id] => Self::One(id),
            _ => Self::Several(ids),
        }
    }
}

fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(0))
}

fn default_buckets() -> usize {
    32
}
fn default_max_distance() -> usize {
    128
}
fn default_epsilon() -> f64 {
    1e-6
}
fn default_feed_forward() -> FeedForwardKind {
    FeedForwardKind::Relu
}
fn default_tied() -> bool {
    true
}
fn default_pad() -> Option<u32> {
    Some(0)
}

/// What tells the families of T5 apart: mT5's configuration has other defaults.
#[derive(Deserialize)]
struct Family {
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    feed_forward_proj: Option<IgnoredAny>,
    #[serde(default)]
    tie_word_embeddings: Option<IgnoredAny>,
}

impl Family {
    fn check(&self) -> Result<(), String> {
        match self.model_type.as_deref() {
            None | Some("t5" | "mt5") => Ok(()),
            Some(other) => Err(format!(
                "`model_type` is {other:?}; this reads \"t5\" (v1.0, v1.1, LM-adapted, Flan) and \"mt5\""
            )),
        }
    }

    /// What `MT5Config` of Hugging Face has where the file says nothing.
    fn fill_in(&self, config: &mut T5Config) {
        if self.model_type.as_deref() != Some("mt5") {
            return;
        }
        if self.feed_forward_proj.is_none() {
            config.feed_forward_proj = FeedForwardKind::GatedGelu;
        }
        if self.tie_word_embeddings.is_none() {
            config.tie_word_embeddings = false;
        }
    }
}

/// More layers than any T5 has: a larger number is a damaged file, not a model. So it is with the numbers below, whose
/// products then stay far from overflow.
const MAX_LAYERS: usize = 1024;
const MAX_WIDTH: usize = 1 << 20;
const MAX_VOCABULARY: usize = 1 << 24;
const MAX_BUCKETS: usize = 1 << 16;
const MAX_DISTANCE: usize = 1 << 30;

impl T5Config {
    /// Read `config.json`.
    ///
    /// # Errors
    /// [`T5Error::Read`] if the file can't be read, [`T5Error::Config`] if a key is missing, has an
    /// unsupported value, or makes no sense.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, T5Error> {
        let path = path.as_ref();
        let bytes = fpt_files::read(path).map_err(|source| T5Error::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_json(&bytes, path)
    }

    /// What [`from_file`](Self::from_file) makes of the content of a `config.json`; `path` is what errors call it by.
    ///
    /// # Errors
    /// As there, but for reading.
    pub fn from_json(json: &[u8], path: impl AsRef<Path>) -> Result<Self, T5Error> {
        let path = path.as_ref();
        let config_error = |reason: String| T5Error::Config {
            path: path.to_path_buf(),
            reason,
        };
        let parse_error = |error: serde_json::Error| config_error(error.to_string());
        let family: Family = serde_json::from_slice(json).map_err(parse_error)?;
        family.check().map_err(config_error)?;
        let mut config: Self = serde_json::from_slice(json).map_err(parse_error)?;
        family.fill_in(&mut config);
        config.check().map_err(config_error)?;
        Ok(config)
    }

    /// Decoder layers, with the default filled in.
    pub fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// Width of all heads together, `num_heads * d_kv`.
    pub(crate) fn inner_dim(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// Whether this can be the shape of a model: [`Self::from_file`] gives no other.
    ///
    /// # Errors
    /// Key and problem.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, MAX_VOCABULARY),
            ("d_model", self.d_model, MAX_WIDTH),
            ("d_kv", self.d_kv, MAX_WIDTH),
            ("d_ff", self.d_ff, MAX_WIDTH),
            ("num_heads", self.num_heads, MAX_WIDTH),
            ("num_layers", self.num_layers, MAX_LAYERS),
            ("num_decoder_layers", self.decoder_layers(), MAX_LAYERS),
            (
                "relative_attention_num_buckets",
                self.relative_attention_num_buckets,
                MAX_BUCKETS,
            ),
            (
                "relative_attention_max_distance",
                self.relative_attention_max_distance,
                MAX_DISTANCE,
            ),
        ] {
            if value == 0 {
                return Err(format!("`{key}` must be at least 1"));
            }
            if value > most {
                return Err(format!(
                    "`{key}` is {value}, more than the {most} supported"
                ));
            }
        }
        if self.inner_dim() > MAX_WIDTH {
            return Err(format!(
                "`num_heads` times `d_kv` is {}, more than the {MAX_WIDTH} supported",
                self.inner_dim()
            ));
        }
        if !(0.0..=1.0).contains(&self.layer_norm_epsilon) {
            return Err(format!(
                "`layer_norm_epsilon` is {}, but must be from 0 to 1",
                self.layer_norm_epsilon
            ));
        }
        // The bidirectional encoder halves the buckets twice: once for the sign, once for the log part.
        if self.relative_attention_num_buckets < 4 {
            return Err("`relative_attention_num_buckets` must be at least 4".into());
        }
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets / 2 {
            return Err(
                "`relative_attention_max_distance` must exceed half of `relative_attention_num_buckets`"
                    .into(),
            );
        }
        let eos = self.eos_token_id.ids().iter();
        let tokens = eos.map(|&id| ("eos_token_id", id)).chain([
            ("pad_token_id", self.pad_id()),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ]);
        for (key, id) in tokens {
            if id as usize >= self.vocab_size {
                return Err(format!(
                    "`{key}` is {id}, outside the vocabulary of {}",
                    self.vocab_size
                ));
            }
        }
        Ok(())
    }

    /// The token that pads.
    pub fn pad_id(&self) -> u32 {
        let eos = self.eos_token_id.ids();
        self.pad_token_id.unwrap_or(eos[0])
    }

    /// The `config.json` text that transformers reads as `T5ForConditionalGeneration`: that of a file that was read has all
    /// of its keys.
    pub fn to_json(&self) -> String {
        let mut json = Map::new();
        json.insert("model_type".into(), "t5".into());
        json.insert(
            "architectures".into(),
            Value::from(vec!["T5ForConditionalGeneration"]),
        );
        if let Ok(Value::Object(own)) = serde_json::to_value(self) {
            json.extend(own);
        }
        format!("{:#}\n", Value::Object(json))
    }
}
