//! How a SentencePiece model is used, as the files beside it say.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::T5Error;

/// How to use a SentencePiece model; see [`T5Tokenizer::from_spiece_with`](crate::T5Tokenizer::from_spiece_with). The names
/// are those of transformers' `T5Tokenizer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpieceOptions {
    /// Whether each part of the text between special tokens starts with a space of its own. T5 was trained like
    /// this, and it is the default: `<extra_id_0>. Hello` is `<extra_id_0>`, `▁`, `.`, `▁Hello`. Otherwise only the
    /// text as a whole starts with one: `<extra_id_0>`, `.`, `▁Hello`.
    pub legacy: bool,
    /// Whether the text as a whole starts with a space, if not `legacy`.
    pub add_prefix_space: bool,
    /// Number of sentinels `<extra_id_0>`, `<extra_id_1>`, …, 100 by default. Their ids follow those of the model in
    /// reverse, so that `<extra_id_0>` has the largest. mT5 has 0: its sentinels are pieces of the model.
    pub extra_ids: u32,
    /// The special tokens.
    pub special_tokens: SpecialTokens,
    /// Tokens that were added to the model, by their ids (`added_tokens_decoder`).
    pub added_tokens: BTreeMap<u32, AddedToken>,
    /// Whether special tokens that are written in a text are text.
    pub split_special_tokens: bool,
}

impl Default for SpieceOptions {
    fn default() -> Self {
        Self {
            legacy: true,
            add_prefix_space: true,
            extra_ids: 100,
            special_tokens: SpecialTokens::default(),
            added_tokens: BTreeMap::new(),
            split_special_tokens: false,
        }
    }
}

/// The tokens with a meaning of their own, which decoded text is without: `special_tokens_map.json`, and what
/// `tokenizer_config.json` has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SpecialTokens {
    /// The token that starts a text; T5 has none.
    pub bos_token: Option<AddedToken>,
    /// The token that ends a text; absent means the model's own.
    pub eos_token: Option<AddedToken>,
    /// The token for unknown characters; absent means the model's own.
    pub unk_token: Option<AddedToken>,
    /// The token between two texts; T5 has none.
    pub sep_token: Option<AddedToken>,
    /// The token that pads; absent means the model's own.
    pub pad_token: Option<AddedToken>,
    /// The token for the whole text; T5 has none.
    pub cls_token: Option<AddedToken>,
    /// The token for what is hidden; T5 has sentinels instead.
    pub mask_token: Option<AddedToken>,
    /// Others; absent means the sentinels. If some of them are sentinels, all must be there.
    pub additional_special_tokens: Option<Vec<AddedToken>>,
}

/// A token that a text is split at before the model sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddedToken {
    /// How it is written.
    pub content: String,
    /// Whether it takes the white space before it along.
    pub lstrip: bool,
    /// Whether it takes the white space after it along.
    pub rstrip: bool,
    /// Whether it is no token inside of a word.
    pub single_word: bool,
}

impl AddedToken {
    /// One that leaves its neighbours alone.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            ..Self::default()
        }
    }
}

impl<'de> Deserialize<'de> for AddedToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a token: a string, or an object with `content`")]
        enum Written {
            Text(String),
            Token {
                content: String,
                #[serde(default)]
                lstrip: bool,
                #[serde(default)]
                rstrip: bool,
                #[serde(default)]
                single_word: bool,
            },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(content) => Self::new(content),
            Written::Token {
                content,
                lstrip,
                rstrip,
                single_word,
            } => Self {
                content,
                lstrip,
                rstrip,
                single_word,
            },
        })
    }
}

/// The files that options are read from.
pub(crate) const FILES: [&str; 3] = [CONFIG, SPECIAL, ADDED];

/// The file that newer versions of transformers have all in.
pub(crate) const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// `tokenizer_config.json`, as far as it says what a text's ids are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    tokenizer_class: Option<String>,
    legacy: Option<bool>,
    add_prefix_space: Option<bool>,
    extra_ids: Option<u32>,
    split_special_tokens: Option<bool>,
    sp_model_kwargs: Option<serde_json::Map<String, serde_json::Value>>,
    added_tokens_decoder: Option<BTreeMap<u32, AddedToken>>,
    #[serde(flatten)]
    special: SpecialTokens,
}

/// The tokenizers of transformers that use a model as this module does.
const CLASSES: [&str; 4] = [
    "T5Tokenizer",
    "T5TokenizerFast",
    "MT5Tokenizer",
    "MT5TokenizerFast",
];

impl SpieceOptions {
    /// Those of a model's directory: what `tokenizer_config.json` says, and where that has no `added_tokens_decoder`, what
    /// the older `special_tokens_map.json` and `added_tokens.json` do. Files that are not there say nothing.
    ///
    /// # Errors
    /// [`T5Error::Tokenizer`] if a file is damaged or asks for what is not supported, [`T5Error::Read`] if it can't be read.
    pub fn from_directory(directory: impl AsRef<Path>) -> Result<Self, T5Error> {
        let directory = directory.as_ref();
        let config: Config = read(&directory.join(CONFIG))?.unwrap_or_default();
        let refused = |reason: String| T5Error::Tokenizer {
            path: directory.join(CONFIG),
            reason,
        };
        if let Some(class) = &config.tokenizer_class
            && !CLASSES.contains(&class.as_str())
        {
            return Err(refused(format!(
                "`tokenizer_class` is {class:?}, which uses spiece.model in another way than T5's; save its tokenizer.json \
                 beside it"
            )));
        }
        if let Some(key) = config
            .sp_model_kwargs
            .iter()
            .flat_map(|map| map.keys())
            .next()
        {
            return Err(refused(format!(
                "`sp_model_kwargs` has `{key}`, which is not supported; take it out"
            )));
        }
        let mut special = config.special;
        let added_tokens = match config.added_tokens_decoder {
            Some(tokens) => tokens,
            None => {
                if let Some(map) = read(&directory.join(SPECIAL))? {
                    special.update(map);
                }
                let ids: Option<BTreeMap<String, u32>> = read(&directory.join(ADDED))?;
                let ids = ids.into_iter().flatten();
                ids.map(|(name, id)| (id, AddedToken::new(name))).collect()
            }
        };
        let default = Self::default();
        Ok(Self {
            legacy: config.legacy.unwrap_or(default.legacy),
            add_prefix_space: config.add_prefix_space.unwrap_or(default.add_prefix_space),
            extra_ids: config.extra_ids.unwrap_or(default.extra_ids),
            special_tokens: special,
            added_tokens,
            split_special_tokens: config
                .split_special_tokens
                .unwrap_or(default.split_special_tokens),
        })
    }
}

impl SpecialTokens {
    /// What the newer one says goes before.
    fn update(&mut self, other: Self) {
        let over = |mine: &mut Option<AddedToken>, other: Option<AddedToken>| {
            if other.is_some() {
                *mine = other;
            }
        };
        over(&mut self.bos_token, other.bos_token);
        over(&mut self.eos_token, other.eos_token);
        over(&mut self.unk_token, other.unk_token);
        over(&mut self.sep_token, other.sep_token);
        over(&mut self.pad_token, other.pad_token);
        over(&mut self.cls_token, other.cls_token);
        over(&mut self.mask_token, other.mask_token);
        if let Some(more) = other.additional_special_tokens {
            let all = self.additional_special_tokens.get_or_insert_default();
            for token in more {
                if all.iter().all(|known| known.content != token.content) {
                    all.push(token);
                }
            }
        }
    }
}

/// Whether `tokenizer_config.json` of a directory wants what transformers calls cleaning up of decoded text: no spaces
/// before punctuation.
pub(crate) fn cleans_up(directory: &Path) -> Result<bool, T5Error> {
    #[derive(Deserialize)]
    struct CleanUp {
        clean_up_tokenization_spaces: Option<bool>,
    }
    let config: Option<CleanUp> = read(&directory.join(CONFIG))?;
    let wanted = config.and_then(|config| config.clean_up_tokenization_spaces);
    Ok(wanted.unwrap_or(false))
}

/// A file of JSON; `None` if it isn't there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, T5Error> {
    let bytes = match fpt_files::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|source| T5Error::Read {
            path: path.to_path_buf(),
            source,
        })?,
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| T5Error::Tokenizer {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })
}
