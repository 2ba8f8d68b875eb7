//! A SentencePiece Unigram model used as transformers' `T5Tokenizer` uses it: the text is split at special tokens,
//! and SentencePiece sees the parts between them.
//!
//! The `tokenizers` crate can hold such a model too, but its normaliser works on grapheme clusters where
//! SentencePiece takes the longest rule, its scores are rounded otherwise, and both it and the charsmap reader
//! panic on damaged data. T5 was trained with SentencePiece's ids, so its algorithms are followed here.

mod added;
mod normalizer;
mod options;
mod proto;
mod trie;
mod unigram;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use crate::T5Error;
use added::Added;
use normalizer::Normalizer;
pub use options::{AddedToken, SpecialTokens, SpieceOptions};
pub(super) use options::{CONFIG, FILES, cleans_up};
use proto::{Model, PieceKind};
use unigram::{Unigram, UnigramPiece};

/// What SentencePiece writes for a space.
const SPACE: char = '\u{2581}';

/// mT5's file, the largest in the family, has 4.3 MB. The limit keeps a wrong file from filling the memory.
const MAX_FILE: u64 = 8 << 20;

/// A piece of a text.
#[derive(Clone, Copy)]
struct Token {
    id: u32,
    /// It is a special token, written as such in the text.
    special: bool,
    /// It is nothing but a space.
    space: bool,
}

/// A SentencePiece model with T5's special tokens.
#[derive(Clone, Debug)]
pub(super) struct Spiece {
    pieces: Vec<(Box<str>, PieceKind)>,
    ids: HashMap<Box<str>, u32>,
    normalizer: Normalizer,
    unigram: Unigram,
    /// Ids of the 256 bytes, if unknown characters are written as bytes.
    bytes: Option<Box<[u32; 256]>>,
    added: Added,
    /// How the token for unknown characters is written, and its id in the model.
    unk_token: String,
    unk: u32,
    eos: u32,
    legacy: bool,
    add_prefix_space: bool,
    split_special_tokens: bool,
}

impl Spiece {
    pub(super) fn read(path: &Path, options: &SpieceOptions) -> Result<Self, T5Error> {
        let unreadable = |source| T5Error::Read {
            path: path.to_path_buf(),
            source,
        };
        let file = fpt_files::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Self::from_bytes(&bytes, options).map_err(|reason| T5Error::Tokenizer {
            path: path.to_path_buf(),
            reason,
        })
    }

    fn from_bytes(bytes: &[u8], options: &SpieceOptions) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_FILE {
            return Err(format!(
                "it has more than {} MiB, which no SentencePiece model of a T5 has; is it another file?",
                MAX_FILE >> 20
            ));
        }
        let Model {
            pieces,
            trainer,
            normalizer,
        } = Model::read(bytes)?;

        let mut ids = HashMap::with_capacity(pieces.len());
        for (id, piece) in (0..).zip(&pieces) {
            if ids.insert(piece.text.clone(), id).is_some() {
                return Err(damaged(format_args!(
                    "piece {:?} is there twice",
                    piece.text
                )));
            }
        }
        let own = |name: &str, kind: PieceKind, role: &str| match ids.get(name) {
            Some(&id) if pieces[id as usize].kind == kind => Ok(AddedToken::new(name)),
            _ => Err(format!(
                "it has no special token {name:?} for {role}: this is no T5 tokenizer"
            )),
        };
        let eos = own(trainer.eos_piece(), PieceKind::Control, "end of sequence")?;
        let pad = own(trainer.pad_piece(), PieceKind::Control, "padding")?;
        let unknown = own(
            trainer.unk_piece(),
            PieceKind::Unknown,
            "unknown characters",
        )?;
        let unk = ids.get(unknown.content.as_str()).copied().unwrap_or(0);
        let mut options = options.clone();
        let named = &mut options.special_tokens;
        let eos_token = named.eos_token.get_or_insert(eos).content.clone();
        let unk_token = named.unk_token.get_or_insert(unknown).content.clone();
        named.pad_token.get_or_insert(pad);
        let unknown = pieces
            .iter()
            .filter(|piece| piece.kind == PieceKind::Unknown);
        if unknown.count() > 1 {
            return Err(damaged("it has several tokens for unknown characters"));
        }
        let bytes = byte_ids(&ids, &pieces, trainer.byte_fallback())?;

        let added = Added::new(&ids, &options)?;
        let eos = added
            .id(&eos_token)
            .ok_or_else(|| damaged("no `eos_token`"))?;

        let normalizer = Normalizer::new(&normalizer, &pieces)?;
        let unigram = Unigram::new(pieces.iter().map(|piece| UnigramPiece {
            text: &piece.text,
            kind: piece.kind,
            score: piece.score,
        }))?;
        Ok(Self {
            pieces: pieces
                .into_iter()
                .map(|piece| (piece.text, piece.kind))
                .collect(),
            ids,
            normalizer,
            unigram,
            bytes,
            added,
            unk_token,
            unk,
            eos,
            legacy: options.legacy,
            add_prefix_space: options.add_prefix_space,
            split_special_tokens: options.split_special_tokens,
        })
    }

    pub(super) fn eos_id(&self) -> u32 {
        self.eos
    }

    pub(super) fn largest_id(&self) -> u32 {
        let last = self.pieces.len() as u32 - 1;
        self.added.largest_id().map_or(last, |id| id.max(last))
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        let piece = || self.ids.get(token).copied();
        self.added.id(token).or_else(piece)
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut text = Cow::Borrowed(text);
        if !self.legacy && !text.is_empty() {
            let prefix = if self.add_prefix_space {
                "\u{2581}"
            } else {
                ""
            };
            text = Cow::Owned(format!("{prefix}{}", text.replace(SPACE, " ")));
        }
        let parts = if self.split_special_tokens {
            vec![Cow::Borrowed(&*text)]
        } else {
            self.added.split(&text)
        };
        let mut tokens = Vec::new();
        for part in parts {
            let added = self.added.id(&part).filter(|_| !self.split_special_tokens);
            match added {
                Some(id) => tokens.push(Token {
                    id,
                    special: self.added.is_special(&part),
                    space: false,
                }),
                None if self.legacy => {
                    self.segment(&part, self.normalizer.add_dummy_prefix(), &mut tokens);
                }
                None => self.segment_as_is(&part, &mut tokens),
            }
        }
        if !self.legacy
            && let [first, second, ..] = tokens[..]
            && first.space
            && second.special
        {
            tokens.remove(0);
        }
        let mut ids: Vec<u32> = tokens.into_iter().map(|token| token.id).collect();
        // A text may end in `</s>` already.
        if ids.last() != Some(&self.eos) {
            ids.push(self.eos);
        }
        ids
    }

    /// Segment a part of the text without giving it a space in front, but keeping one that it has.
    fn segment_as_is(&self, text: &str, tokens: &mut Vec<Token>) {
        if !text.starts_with([SPACE, ' ']) {
            return self.segment(text, false, tokens);
        }
        // SentencePiece drops leading spaces. As in transformers, the unknown token's name goes in front and its
        // pieces come off afterwards, if there are as many of them.
        let name = &self.unk_token;
        let mut pieces = Vec::new();
        self.segment(name, false, &mut pieces);
        let in_front = pieces.len();
        pieces.clear();
        self.segment(&format!("{name}{text}"), false, &mut pieces);
        tokens.extend(pieces.get(in_front..).unwrap_or(&pieces));
    }

    /// Normalise and segment a text without special tokens.
    fn segment(&self, text: &str, dummy_prefix: bool, tokens: &mut Vec<Token>) {
        let text = self.normalizer.normalize(text, dummy_prefix);
        let mut segments = self.unigram.segment(&text, self.unk).into_iter().peekable();
        while let Some((mut range, mut id)) = segments.next() {
            if id == self.unk {
                if let Some(ids) = &self.bytes {
                    tokens.extend(text[range].bytes().map(|byte| Token {
                        id: ids[usize::from(byte)],
                        special: false,
                        space: false,
                    }));
                    continue;
                }
                // Neighbouring unknown characters are one token.
                while let Some((next, _)) = segments.next_if(|(_, next)| *next == self.unk) {
                    range.end = next.end;
                }
                // transformers looks the id up by the text, which may be that of a control token here.
                id = self.token_to_id(&text[range.clone()]).unwrap_or(self.unk);
            }
            tokens.push(Token {
                id: self.added.of_piece(id),
                special: false,
                space: text[range].chars().eq([SPACE]),
            });
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut texts = Vec::new();
        let mut text = Decoded::default();
        for &id in ids {
            let added = self.added.name(id);
            let Some(name) = added.or_else(|| Some(&*self.pieces.get(id as usize)?.0)) else {
                continue;
            };
            if self.added.is_special(name) {
                continue;
            }
            if added.is_some() {
                texts.extend(text.take());
                texts.push(name.to_string());
                continue;
            }
            match self.pieces[id as usize].1 {
                PieceKind::Control | PieceKind::Unknown => {}
                PieceKind::Byte => text.bytes.extend(byte_of(name)),
                PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused => {
                    text.push(name);
                }
            }
        }
        texts.extend(text.take());
        texts.join(" ")
    }
}

/// Text that pieces are put together to.
#[derive(Default)]
struct Decoded {
    text: String,
    /// Bytes of a character that is not whole.
    bytes: Vec<u8>,
}

impl Decoded {
    fn push(&mut self, piece: &str) {
        push_bytes(&mut self.text, &mut self.bytes);
        let spaced = |c| if c == SPACE { ' ' } else { c };
        self.text.extend(piece.chars().map(spaced));
    }

    /// The text so far, without surrounding spaces; nothing if there is none.
    fn take(&mut self) -> Option<String> {
        push_bytes(&mut self.text, &mut self.bytes);
        let text = std::mem::take(&mut self.text);
        let text = text.trim_matches(is_space);
        (!text.is_empty()).then(|| text.to_string())
    }
}

/// Append the characters of `bytes` and clear them. Each byte that belongs to no character becomes U+FFFD.
fn push_bytes(text: &mut String, bytes: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    bytes.clear();
}

/// Ids of the pieces `<0x00>` to `<0xFF>`, which a model has if and only if it writes unknown characters as bytes.
fn byte_ids(
    ids: &HashMap<Box<str>, u32>,
    pieces: &[proto::Piece],
    byte_fallback: bool,
) -> Result<Option<Box<[u32; 256]>>, String> {
    let mut found = [None; 256];
    for piece in pieces.iter().filter(|piece| piece.kind == PieceKind::Byte) {
        match byte_of(&piece.text) {
            Some(byte) if byte_fallback => {
                found[usize::from(byte)] = ids.get(&piece.text).copied();
            }
            _ => {
                return Err(damaged(format_args!(
                    "{:?} should not be a byte's piece",
                    piece.text
                )));
            }
        }
    }
    if !byte_fallback {
        return Ok(None);
    }
    let mut bytes = Box::new([0; 256]);
    for (byte, id) in found.into_iter().enumerate() {
        bytes[byte] = id.ok_or_else(|| damaged(format_args!("byte {byte:#04X} has no piece")))?;
    }
    Ok(Some(bytes))
}

/// The byte of a piece such as `<0x0A>`.
fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (format!("{byte:02X}") == digits).then_some(byte)
}

/// Whether Python's `str.strip` removes it: white space and the four separators among the control characters.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The message for a file that can't be right.
fn damaged(what: impl std::fmt::Display) -> String {
    format!(
        "it is no intact SentencePiece model: {what} (was the download interrupted? fetch it again)"
    )
}

#[cfg(test)]
mod tests;
