//! T5 tokenizers, from `tokenizer.json` or straight from a SentencePiece model.

mod spiece;

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

pub use spiece::{AddedToken, SpecialTokens, SpieceOptions};

use crate::{T5Config, T5Error};
use spiece::Spiece;

/// A T5 tokenizer, read from `tokenizer.json` or `spiece.model`.
///
/// The two can differ on one text. A SentencePiece model gives the ids that T5 was trained with, those of
/// transformers' `T5Tokenizer`; `tokenizer.json` gives those of `T5TokenizerFast`, which imitates it and differs
/// next to special tokens and on rare characters.
#[derive(Clone, Debug)]
pub struct T5Tokenizer {
    kind: Kind,
    path: PathBuf,
    /// Other files that it was read from.
    beside: Vec<PathBuf>,
    cleans_up: bool,
    vocab_size: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<Tokenizer>),
    Spiece(Box<Spiece>),
}

impl T5Tokenizer {
    /// Read a `tokenizer.json`.
    ///
    /// # Errors
    /// [`T5Error::Read`] if there is no such file, [`T5Error::Tokenizer`] if it is damaged.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, T5Error> {
        let path = path.as_ref().to_path_buf();
        let bytes = fpt_files::read(&path).map_err(|source| T5Error::Read {
            path: path.clone(),
            source,
        })?;
        let unusable = |reason: String| T5Error::Tokenizer {
            path: path.clone(),
            reason,
        };
        // `tokenizers` panics on some files that are cut short or strange inside, of a few only when a text comes: so
        // a first text is encoded and decoded here.
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
            .map_err(|error| unusable(format!("not valid JSON: {error}")))?;
        let read = || {
            let mut inner = Tokenizer::from_bytes(bytes)?;
            // How far a text is padded and where it is cut is the caller's business, here as in transformers.
            inner.with_padding(None).with_truncation(None)?;
            let ids = inner.encode_fast("a text", true)?.get_ids().to_vec();
            inner.decode(&ids, true)?;
            Ok((inner, ids))
        };
        let (inner, ids) = std::panic::catch_unwind(read)
            .map_err(|_| unusable("its parts contradict each other".into()))?
            .map_err(|error: tokenizers::Error| unusable(error.to_string()))?;
        let eos = inner.token_to_id("</s>");
        if eos.is_some() && ids.last().copied() != eos {
            return Err(unusable(
                "its post-processor does not end a text with `</s>`, as T5 wants it: save it anew with transformers' \
                 T5TokenizerFast, or take it away where there is a spiece.model"
                    .into(),
            ));
        }
        Ok(Self::new(Kind::Json(Box::new(inner)), path))
    }

    /// The size is looked up once: of a `tokenizer.json` it takes a copy of the vocabulary, and every generation asks.
    fn new(kind: Kind, path: PathBuf) -> Self {
        let largest = match &kind {
            Kind::Json(inner) => inner.get_vocab(true).into_values().max().unwrap_or(0),
            Kind::Spiece(inner) => inner.largest_id(),
        };
        Self {
            kind,
            path,
            beside: Vec::new(),
            cleans_up: false,
            vocab_size: largest as usize + 1,
        }
    }

    /// Read a SentencePiece model, usually `spiece.model`, with the default [`SpieceOptions`].
    ///
    /// # Errors
    /// As [`from_spiece_with`](Self::from_spiece_with).
    pub fn from_spiece(path: impl AsRef<Path>) -> Result<Self, T5Error> {
        Self::from_spiece_with(path, &SpieceOptions::default())
    }

    /// Read a SentencePiece model, usually `spiece.model`.
    ///
    /// # Errors
    /// [`T5Error::Read`] if there is no such file, [`T5Error::Tokenizer`] if it is damaged, no Unigram model or
    /// asks for something that is not supported.
    pub fn from_spiece_with(
        path: impl AsRef<Path>,
        options: &SpieceOptions,
    ) -> Result<Self, T5Error> {
        let path = path.as_ref().to_path_buf();
        let inner = Spiece::read(&path, options)?;
        Ok(Self::new(Kind::Spiece(Box::new(inner)), path))
    }

    /// Read the tokenizer of a model's directory: `tokenizer.json` if there is one, else `spiece.model` with the
    /// [`SpieceOptions`] that the files beside it make. `tokenizer_config.json` also says whether decoded text is cleaned
    /// up (`clean_up_tokenization_spaces`).
    ///
    /// # Errors
    /// [`T5Error::Tokenizer`] if there is neither; else as [`from_file`](Self::from_file) and
    /// [`from_spiece`](Self::from_spiece).
    pub fn from_directory(directory: impl AsRef<Path>) -> Result<Self, T5Error> {
        let directory = directory.as_ref();
        let cleans_up = spiece::cleans_up(directory)?;
        let in_directory = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
        if let Some(json) = in_directory("tokenizer.json") {
            let read = Self::from_file(json)?;
            // What the file beside it does not change does not depend on it.
            let config = cleans_up.then(|| directory.join(spiece::CONFIG));
            return Ok(Self {
                beside: config.into_iter().collect(),
                cleans_up,
                ..read
            });
        }
        if let Some(model) = in_directory("spiece.model") {
            let options = SpieceOptions::from_directory(directory)?;
            return Ok(Self {
                beside: spiece::FILES.into_iter().filter_map(in_directory).collect(),
                cleans_up,
                ..Self::from_spiece_with(model, &options)?
            });
        }
        Err(T5Error::Tokenizer {
            path: directory.to_path_buf(),
            reason: "it has neither tokenizer.json nor spiece.model; \
                     copy one of them from where the model came from"
                .into(),
        })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files that ids and texts depend on, [`path`](Self::path) first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.path)
            .chain(&self.beside)
            .map(PathBuf::as_path)
    }

    /// Check that every token has a row in the embedding of a model with this `config`, and that both mean
    /// the same token by end of sequence. A model may have more rows than the tokenizer has tokens.
    ///
    /// # Errors
    /// [`T5Error::Tokenizer`] says which does not fit.
    pub fn check_fits(&self, config: &T5Config) -> Result<(), T5Error> {
        let misfit = |reason: String| T5Error::Tokenizer {
            path: self.path.clone(),
            reason,
        };
        let eos = match &self.kind {
            Kind::Json(inner) => inner.token_to_id("</s>"),
            Kind::Spiece(inner) => Some(inner.eos_id()),
        };
        let size = self.vocab_size();
        if size > config.vocab_size {
            return Err(misfit(format!(
                "it has ids up to {}, but the model's vocab_size is {}; \
                 use the tokenizer that came with the model",
                size - 1,
                config.vocab_size
            )));
        }
        match eos {
            Some(id) if config.eos_token_id.contains(id) => Ok(()),
            Some(id) => Err(misfit(format!(
                "`</s>` is {id}, but the model's eos_token_id is {:?}",
                config.eos_token_id.ids()
            ))),
            None => Err(misfit("it has no `</s>`: this is no T5 tokenizer".into())),
        }
    }

    /// Ids of `text`, ended by `</s>`.
    ///
    /// # Errors
    /// [`T5Error::Tokenize`] if the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, T5Error> {
        match &self.kind {
            Kind::Json(inner) => {
                let encoding = inner
                    .encode_fast(text, true)
                    .map_err(|error| T5Error::Tokenize(error.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            }
            Kind::Spiece(inner) => Ok(inner.encode(text)),
        }
    }

    /// The text of `ids`, without special tokens (padding, `</s>`, sentinels) and surrounding spaces. Ids that
    /// are no token, as the unused last rows of T5's embedding, have no text.
    ///
    /// # Errors
    /// [`T5Error::Tokenize`] if the tokenizer can't decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, T5Error> {
        let text = match &self.kind {
            Kind::Json(inner) => {
                let text = inner
                    .decode(ids, true)
                    .map_err(|error| T5Error::Tokenize(error.to_string()))?;
                text.trim().to_string()
            }
            Kind::Spiece(inner) => inner.decode(ids),
        };
        Ok(if self.cleans_up {
            cleaned_up(text)
        } else {
            text
        })
    }

    /// One more than the largest id of a token; see [`Generation::vocabulary`](crate::Generation::vocabulary).
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of a token, if there is one.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        match &self.kind {
            Kind::Json(inner) => inner.token_to_id(token),
            Kind::Spiece(inner) => inner.token_to_id(token),
        }
    }
}

/// transformers' `clean_up_tokenization`: no spaces before punctuation and English endings.
fn cleaned_up(text: String) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    RULES
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}
