//! A SentencePiece Unigram model used as transformers' `T5Tokenizer` uses it: the text is split at special tokens,
//! and SentencePiece sees the parts between them.
//!
//! The `tokenizers` crate can hold such a model too, but its normaliser works on grapheme clusters where
//! SentencePiece takes the longest rule, its scores are rounded otherwise, and both it and the charsmap reader
//! panic on damaged data. T5 was trained with SentencePiece's ids, so its algorithms are followed here.

mod normalizer;
mod proto;
mod trie;
mod unigram;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::T5Error;
use normalizer::Normalizer;
use proto::{Model, PieceKind};
use unigram::{Unigram, UnigramPiece};

/// What SentencePiece writes for a space.
const SPACE: char = '\u{2581}';

/// mT5's file, the largest in the family, has 4.3 MB. The limit keeps a wrong file from filling the memory.
const MAX_FILE: u64 = 8 << 20;

/// How to use a SentencePiece model; see [`T5Tokenizer::from_spiece_with`](crate::T5Tokenizer::from_spiece_with).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpieceOptions {
    /// Whether each part of the text between special tokens starts with a space of its own. T5 was trained like
    /// this, and it is the default: `<extra_id_0>. Hello` is `<extra_id_0>`, `▁`, `.`, `▁Hello`. Otherwise only the
    /// text as a whole starts with one: `<extra_id_0>`, `.`, `▁Hello`. It is `legacy` in `tokenizer_config.json`.
    pub legacy: bool,
    /// Number of sentinels `<extra_id_0>`, `<extra_id_1>`, …, 100 by default. Their ids follow those of the model in
    /// reverse, so that `<extra_id_0>` has the largest.
    pub extra_ids: u32,
}

impl Default for SpieceOptions {
    fn default() -> Self {
        Self {
            legacy: true,
            extra_ids: 100,
        }
    }
}

/// A piece of a text.
#[derive(Clone, Copy)]
struct Token {
    id: u32,
    /// It is a special token, written as such in the text.
    special: bool,
    /// It is nothing but a space.
    space: bool,
}

/// A part of a text.
#[derive(Clone, Copy)]
enum Part<'a> {
    Text(&'a str),
    Special(u32),
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
    unk: u32,
    eos: u32,
    pad: u32,
    options: SpieceOptions,
}

impl Spiece {
    pub(super) fn read(path: &Path, options: &SpieceOptions) -> Result<Self, T5Error> {
        let unreadable = |source| T5Error::Read {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
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
        let id_of = |name: &str, kind: PieceKind, role: &str| match ids.get(name) {
            Some(&id) if pieces[id as usize].kind == kind => Ok(id),
            _ => Err(format!(
                "it has no special token {name:?} for {role}: this is no T5 tokenizer"
            )),
        };
        let eos = id_of(trainer.eos_piece(), PieceKind::Control, "end of sequence")?;
        let pad = id_of(trainer.pad_piece(), PieceKind::Control, "padding")?;
        let unk = id_of(
            trainer.unk_piece(),
            PieceKind::Unknown,
            "unknown characters",
        )?;
        let unknown = pieces
            .iter()
            .filter(|piece| piece.kind == PieceKind::Unknown);
        if unknown.count() > 1 {
            return Err(damaged("it has several tokens for unknown characters"));
        }
        let bytes = byte_ids(&ids, &pieces, trainer.byte_fallback())?;

        if options.extra_ids as usize > proto::MAX_PIECES - pieces.len() {
            return Err(format!(
                "it has {} pieces, too many to add {} sentinels; T5 has 100 sentinels",
                pieces.len(),
                options.extra_ids
            ));
        }
        let repeated = ids
            .keys()
            .find(|text| sentinel(text, options.extra_ids).is_some());
        if let Some(text) = repeated {
            return Err(format!(
                "the model itself has {text:?}; read it with `extra_ids` set to 0"
            ));
        }

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
            unk,
            eos,
            pad,
            options: options.clone(),
        })
    }

    pub(super) fn eos_id(&self) -> u32 {
        self.eos
    }

    pub(super) fn largest_id(&self) -> u32 {
        self.sentinels_end() - 1
    }

    /// The sentinels' ids are those from the number of pieces to here.
    fn sentinels_end(&self) -> u32 {
        self.pieces.len() as u32 + self.options.extra_ids
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        match sentinel(token, self.options.extra_ids) {
            Some(number) => Some(self.sentinels_end() - 1 - number),
            None => self.ids.get(token).copied(),
        }
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut text = Cow::Borrowed(text);
        if !self.options.legacy && !text.is_empty() {
            text = Cow::Owned(format!("{SPACE}{}", text.replace(SPACE, " ")));
        }
        let mut tokens = Vec::new();
        for part in self.parts(&text) {
            match part {
                Part::Special(id) => tokens.push(Token {
                    id,
                    special: true,
                    space: false,
                }),
                Part::Text(text) if self.options.legacy => {
                    self.segment(text, self.normalizer.add_dummy_prefix(), &mut tokens);
                }
                Part::Text(text) => self.segment_as_is(text, &mut tokens),
            }
        }
        if !self.options.legacy
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

    /// Split `text` at special tokens. Sentinels take the white space around them along.
    fn parts<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            if let Some((length, id)) = self.special_at(&text[at..]) {
                parts.push(Part::Text(&text[start..at]));
                parts.push(Part::Special(id));
                at += length;
                start = at;
            } else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        parts.push(Part::Text(&text[start..]));

        // Texts and special tokens alternate, and a text is at both ends.
        for special in (1..parts.len()).step_by(2) {
            if matches!(parts[special], Part::Special(id) if id >= self.pieces.len() as u32) {
                if let Part::Text(text) = &mut parts[special - 1] {
                    *text = text.trim_end_matches(is_space);
                }
                if let Part::Text(text) = &mut parts[special + 1] {
                    *text = text.trim_start_matches(is_space);
                }
            }
        }
        parts
    }

    /// The special token that `text` starts with, if any: its length and its id.
    fn special_at(&self, text: &str) -> Option<(usize, u32)> {
        for id in [self.eos, self.unk, self.pad] {
            let token = &self.pieces[id as usize].0;
            if text.starts_with(&**token) {
                return Some((token.len(), id));
            }
        }
        if !text.starts_with(SENTINEL) {
            return None;
        }
        let length = text.find('>')? + 1;
        let number = sentinel(&text[..length], self.options.extra_ids)?;
        Some((length, self.sentinels_end() - 1 - number))
    }

    /// Segment a part of the text without giving it a space in front, but keeping one that it has.
    fn segment_as_is(&self, text: &str, tokens: &mut Vec<Token>) {
        if !text.starts_with([SPACE, ' ']) {
            return self.segment(text, false, tokens);
        }
        // SentencePiece drops leading spaces. As in transformers, the unknown token's name goes in front and its
        // pieces come off afterwards, if there are as many of them.
        let name = &self.pieces[self.unk as usize].0;
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
                id,
                special: false,
                space: text[range].chars().eq([SPACE]),
            });
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut bytes = Vec::new();
        for &id in ids {
            let Some((piece, kind)) = self.pieces.get(id as usize) else {
                continue;
            };
            match kind {
                PieceKind::Control | PieceKind::Unknown => {}
                PieceKind::Byte => bytes.extend(byte_of(piece)),
                PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused => {
                    push_bytes(&mut text, &mut bytes);
                    text.extend(piece.chars().map(|c| if c == SPACE { ' ' } else { c }));
                }
            }
        }
        push_bytes(&mut text, &mut bytes);
        text.trim_matches(is_space).to_string()
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

const SENTINEL: &str = "<extra_id_";

/// The number of a sentinel, if `text` is one of the first `extra_ids`.
fn sentinel(text: &str, extra_ids: u32) -> Option<u32> {
    let digits = text.strip_prefix(SENTINEL)?.strip_suffix('>')?;
    // `+5`, `05` and the like are no sentinels.
    if !digits.bytes().all(|byte| byte.is_ascii_digit())
        || (digits.len() > 1 && digits.starts_with('0'))
    {
        return None;
    }
    digits.parse().ok().filter(|&number| number < extra_ids)
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
