//! Tokens beside those of the SentencePiece model: sentinels, special tokens and what else was added. The rules are those of
//! `T5Tokenizer` and `PreTrainedTokenizer` in transformers 4.57.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::{AhoCorasick, MatchKind};

use super::is_space;
use super::options::{AddedToken, SpieceOptions};
use super::proto::MAX_PIECES;

/// What a sentinel is called.
const SENTINEL: &str = "<extra_id_";

/// Tokens that a text is split at before SentencePiece sees it.
#[derive(Clone, Debug)]
pub(super) struct Added {
    tokens: BTreeMap<u32, AddedToken>,
    ids: HashMap<String, u32>,
    special: HashSet<String>,
    /// Pieces that have the text of an added token with another id, and that id.
    renamed: HashMap<u32, u32>,
    finder: AhoCorasick,
}

impl Added {
    /// Those of a model with `pieces`, whose ids are `piece_ids`.
    pub(super) fn new(
        piece_ids: &HashMap<Box<str>, u32>,
        options: &SpieceOptions,
    ) -> Result<Self, String> {
        let pieces = piece_ids.len();
        let extra_ids = options.extra_ids;
        if extra_ids as usize > MAX_PIECES.saturating_sub(pieces) {
            return Err(format!(
                "it has {pieces} pieces, too many to add {extra_ids} sentinels; T5 has 100 sentinels"
            ));
        }
        let (mut tokens, additional) = sentinels(pieces as u32, options)?;
        let is_piece = |name: &&String| piece_ids.contains_key(name.as_str());
        let mut names = tokens.values().map(|token| &token.content);
        if let Some(name) = names.find(is_piece)
            && options.added_tokens.is_empty()
        {
            return Err(format!(
                "the model itself has {name:?}; read it with `extra_ids` set to 0, in tokenizer_config.json"
            ));
        }
        tokens.extend((options.added_tokens.iter()).map(|(&id, token)| (id, token.clone())));
        let mut ids: HashMap<String, u32> = (tokens.iter())
            .map(|(&id, token)| (token.content.clone(), id))
            .collect();

        // Special tokens that have no id yet: that of a piece, or one after all others.
        let mut next = (pieces + ids.keys().filter(|name| !is_piece(name)).count()) as u32;
        let named = &options.special_tokens;
        let special: Vec<&AddedToken> = [
            &named.bos_token,
            &named.eos_token,
            &named.unk_token,
            &named.sep_token,
            &named.pad_token,
            &named.cls_token,
            &named.mask_token,
        ]
        .into_iter()
        .flatten()
        .chain(&additional)
        .collect();
        for token in &special {
            if token.content.is_empty() || ids.contains_key(&token.content) {
                continue;
            }
            let id = piece_ids.get(token.content.as_str()).copied();
            let id = id.unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            ids.insert(token.content.clone(), id);
            tokens.insert(id, (*token).clone());
        }
        if let Some((id, token)) = tokens
            .last_key_value()
            .filter(|(id, _)| **id as usize >= MAX_PIECES)
        {
            return Err(format!(
                "the added token {:?} has the id {id}, which no T5 has",
                token.content
            ));
        }
        let renamed = ids.iter().filter_map(|(name, &id)| {
            let piece = *piece_ids.get(name.as_str())?;
            (piece != id).then_some((piece, id))
        });
        let names: Vec<&str> = (tokens.values())
            .map(|token| token.content.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        Ok(Self {
            renamed: renamed.collect(),
            special: special
                .into_iter()
                .map(|token| token.content.clone())
                .collect(),
            finder: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(names)
                .map_err(|error| format!("its added tokens can't be searched for: {error}"))?,
            tokens,
            ids,
        })
    }

    /// The largest id of an added token.
    pub(super) fn largest_id(&self) -> Option<u32> {
        self.tokens.last_key_value().map(|(&id, _)| id)
    }

    /// The id of an added token.
    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The text of an added token.
    pub(super) fn name(&self, id: u32) -> Option<&str> {
        self.tokens.get(&id).map(|token| token.content.as_str())
    }

    /// Whether text is decoded without it.
    pub(super) fn is_special(&self, name: &str) -> bool {
        self.special.contains(name)
    }

    /// The id of a piece, which an added token of the same text takes over.
    pub(super) fn of_piece(&self, id: u32) -> u32 {
        self.renamed.get(&id).copied().unwrap_or(id)
    }

    /// `text` in parts, of which [`id`](Self::id) knows those that are added tokens. None is empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Cow<'a, str>> {
        let mut parts: Vec<Cow<'a, str>> = Vec::new();
        let mut start = 0;
        for found in self.finder.find_iter(text) {
            parts.push(Cow::Borrowed(&text[start..found.start()]));
            parts.push(Cow::Borrowed(&text[found.range()]));
            start = found.end();
        }
        parts.push(Cow::Borrowed(&text[start..]));
        parts.retain(|part| !part.is_empty());
        for at in 0..parts.len() {
            if let Some(token) = self.ids.get(&*parts[at]).and_then(|id| self.tokens.get(id)) {
                strip_around(&mut parts, at, token);
            }
        }
        parts.retain(|part| !part.is_empty());
        parts
    }
}

/// What a token does to its neighbours: it takes white space along, or gives itself up inside of a word.
fn strip_around(parts: &mut [Cow<'_, str>], at: usize, token: &AddedToken) {
    let left = at.checked_sub(1);
    let right = Some(at + 1).filter(|&right| right < parts.len());
    if let Some(right) = right.filter(|_| token.rstrip) {
        parts[right] = stripped(&parts[right], str::trim_start_matches);
    }
    if let Some(left) = left.filter(|_| token.lstrip) {
        parts[left] = stripped(&parts[left], str::trim_end_matches);
    }
    if !token.single_word {
        return;
    }
    // As in transformers, what is on the left is looked at after it was stripped, what is on the right as well.
    let left = left.filter(|&left| !parts[left].is_empty() && !parts[left].ends_with(' '));
    let right = right.filter(|&right| !parts[right].is_empty() && !parts[right].starts_with(' '));
    if let Some(left) = left {
        parts[left] = Cow::Owned(format!("{}{}", parts[left], parts[at]));
        parts[at] = Cow::Borrowed("");
    } else if let Some(right) = right {
        parts[right] = Cow::Owned(format!("{}{}", parts[at], parts[right]));
        parts[at] = Cow::Borrowed("");
    }
}

fn stripped<'a>(
    text: &Cow<'a, str>,
    strip: impl Fn(&str, fn(char) -> bool) -> &str,
) -> Cow<'a, str> {
    Cow::Owned(strip(text, is_space).to_string())
}

/// The sentinels with their ids, and the additional special tokens, which name them, too.
fn sentinels(
    pieces: u32,
    options: &SpieceOptions,
) -> Result<(BTreeMap<u32, AddedToken>, Vec<AddedToken>), String> {
    let numbered = |i: u32| AddedToken::new(format!("{SENTINEL}{i}>"));
    let mut additional: Vec<AddedToken>;
    let count;
    match &options.special_tokens.additional_special_tokens {
        None => {
            count = options.extra_ids;
            additional = (0..count).map(numbered).collect();
        }
        Some(given) => {
            additional = given.clone();
            let named = (given.iter()).filter(|token| token.content.contains(SENTINEL));
            count = named.count() as u32;
            if count == 0 {
                // They get their ids as other special tokens do.
                additional.extend((0..options.extra_ids).map(numbered));
            } else if options.extra_ids > 0 && options.extra_ids != count {
                return Err(format!(
                    "`extra_ids` is {}, but `additional_special_tokens` has {count} sentinels; they must be as many",
                    options.extra_ids
                ));
            }
        }
    }
    let end = pieces + options.extra_ids;
    let sentinel = |i: u32| {
        let token = AddedToken {
            lstrip: true,
            rstrip: true,
            ..numbered(i)
        };
        let id = end.checked_sub(i + 1)?;
        Some((id, token))
    };
    Ok(((0..count).filter_map(sentinel).collect(), additional))
}
