use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use crate::{T5Config, T5Error};

/// A T5 tokenizer, read from `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct T5Tokenizer {
    inner: Tokenizer,
    path: PathBuf,
}

impl T5Tokenizer {
    /// Read a `tokenizer.json`.
    ///
    /// # Errors
    /// [`T5Error::Read`] if there is no such file, [`T5Error::Tokenizer`] if it is damaged.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, T5Error> {
        let path = path.as_ref().to_path_buf();
        let bytes = std::fs::read(&path).map_err(|source| T5Error::Read {
            path: path.clone(),
            source,
        })?;
        let inner = Tokenizer::from_bytes(bytes).map_err(|error| T5Error::Tokenizer {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self { inner, path })
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
        let largest = self.inner.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= config.vocab_size {
            return Err(misfit(format!(
                "it has ids up to {largest}, but the model's vocab_size is {}; \
                 use the tokenizer that came with the model",
                config.vocab_size
            )));
        }
        match self.inner.token_to_id("</s>") {
            Some(id) if id == config.eos_token_id => Ok(()),
            Some(id) => Err(misfit(format!(
                "`</s>` is {id}, but the model's eos_token_id is {}",
                config.eos_token_id
            ))),
            None => Err(misfit("it has no `</s>`: this is no T5 tokenizer".into())),
        }
    }

    /// Ids of `text`, ended by `</s>`.
    ///
    /// # Errors
    /// [`T5Error::Tokenize`] if the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, T5Error> {
        let encoding = self
            .inner
            .encode_fast(text, true)
            .map_err(|error| T5Error::Tokenize(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, without special tokens (padding, `</s>`, sentinels) and surrounding spaces.
    ///
    /// # Errors
    /// [`T5Error::Tokenize`] if the tokenizer can't decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, T5Error> {
        let text = self
            .inner
            .decode(ids, true)
            .map_err(|error| T5Error::Tokenize(error.to_string()))?;
        Ok(text.trim().to_string())
    }

    /// The id of a token, if there is one.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The underlying tokenizer.
    pub fn inner(&self) -> &Tokenizer {
        &self.inner
    }
}
