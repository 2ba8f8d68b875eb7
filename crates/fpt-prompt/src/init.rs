//! How a prompt starts.

use std::ops::Range;
use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_t5::T5;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{InitKind, PromptError, SoftPrompt, load_prompt};

/// Separates this random stream from others of the same seed.
const STREAM: u64 = u64::from_le_bytes(*b"fptinit1");

/// How a prompt starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a table with its kind: { kind = \"uniform\" }, { kind = \"sampled-vocabulary\", ids = { start = 3, end = 32000 } }, \
                 { kind = \"text\", text = \"…\" } or { kind = \"adapter\", path = \"…\" }"
)]
#[non_exhaustive]
pub enum PromptInit {
    /// Uniform in ±sqrt(1/d_model): the paper's default.
    Uniform,
    /// Rows of the embedding, drawn from the vocabulary without replacement while it lasts.
    SampledVocabulary {
        /// Ids to draw from; the paper's are 3..32000, which leaves out special tokens and sentinels.
        ids: Range<u32>,
    },
    /// An earlier prompt, from its adapter or `.npy` file: prompts transfer between a model and its partial ones.
    Adapter {
        /// The adapter's directory, or the `.npy` file.
        path: PathBuf,
    },
    /// The embedding of a text, repeated or cut to the prompt's length.
    Text {
        /// The text.
        text: String,
    },
}

impl PromptInit {
    /// What PEFT calls it. It has no word for an earlier prompt.
    #[must_use]
    pub fn kind(&self) -> InitKind {
        match self {
            Self::Uniform | Self::Adapter { .. } => InitKind::Random,
            Self::SampledVocabulary { .. } => InitKind::SampleVocab,
            Self::Text { .. } => InitKind::Text,
        }
    }

    /// A prompt of `length` vectors for `model` on `device`; the same `seed` gives the same prompt on every
    /// machine. `encode` turns a text into ids, `</s>` included.
    ///
    /// # Errors
    /// [`PromptError::Init`] if the length is 0, ids lie outside the vocabulary, the text has no token, or the
    /// adapter has another length; as [`load_prompt`] if it can't be read.
    pub fn prompt<E: std::error::Error>(
        &self,
        length: usize,
        model: &T5,
        seed: u64,
        encode: impl FnOnce(&str) -> Result<Vec<u32>, E>,
        device: &Device,
    ) -> Result<SoftPrompt, PromptError> {
        if length == 0 {
            return Err(PromptError::Init(
                "a prompt needs at least one vector".into(),
            ));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ STREAM);
        let (d_model, vocabulary) = (model.config().d_model, model.config().vocab_size);
        match self {
            Self::Uniform => {
                let bound = (1.0 / d_model as f32).sqrt();
                let values = (0..length * d_model)
                    .map(|_| rng.random_range(-bound..bound))
                    .collect();
                Ok(SoftPrompt::from_values(values, [length, d_model], device))
            }
            Self::SampledVocabulary { ids } => {
                if ids.is_empty() || ids.end as usize > vocabulary {
                    return Err(PromptError::Init(format!(
                        "ids {}..{} are empty or exceed the vocabulary of {vocabulary}",
                        ids.start, ids.end
                    )));
                }
                let size = (ids.end - ids.start) as usize;
                let mut drawn = Vec::new();
                while drawn.len() < length {
                    let take = (length - drawn.len()).min(size);
                    let sample = rand::seq::index::sample(&mut rng, size, take);
                    drawn.extend(sample.into_iter().map(|i| ids.start + i as u32));
                }
                Ok(rows(model, &drawn, device))
            }
            Self::Adapter { path } => {
                let prompt = load_prompt(path, d_model, device)?;
                match prompt.shape() {
                    [found, _] if found == length => Ok(prompt),
                    [found, _] => Err(PromptError::Init(format!(
                        "the prompt in {} has {found} vectors, not {length}; set the prompt's length to that",
                        path.display()
                    ))),
                }
            }
            Self::Text { text } => {
                let mut ids = encode(text).map_err(|error| PromptError::Init(error.to_string()))?;
                ids.retain(|&id| !model.config().eos_token_id.contains(id));
                if ids.is_empty() {
                    return Err(PromptError::Init(format!("the text {text:?} has no token")));
                }
                if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
                    return Err(PromptError::Init(format!(
                        "id {id} of the text exceeds the vocabulary of {vocabulary}"
                    )));
                }
                let repeated: Vec<u32> = ids.iter().copied().cycle().take(length).collect();
                Ok(rows(model, &repeated, device))
            }
        }
    }
}

/// The embeddings of `ids` as a prompt.
fn rows(model: &T5, ids: &[u32], device: &Device) -> SoftPrompt {
    let ids_i32: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let index =
        Tensor::<2, Int>::from_data(TensorData::new(ids_i32, [1, ids.len()]), &model.device());
    let values = model.embed(index).into_data().iter::<f32>().collect();
    SoftPrompt::from_values(values, [ids.len(), model.config().d_model], device)
}
