//! What SentencePiece does to a text before it looks for pieces.

use super::proto::{NormalizerSpec, Piece, PieceKind};
use super::trie::Trie;
use super::{SPACE, damaged};

/// Replaces characters by rules and spaces by `▁`.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    rules: Option<Rules>,
    /// Pieces of fixed text, which no rule changes.
    fixed: Trie,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    space: char,
}

impl Normalizer {
    pub(super) fn new(spec: &NormalizerSpec, pieces: &[Piece]) -> Result<Self, String> {
        let rules = match spec.precompiled_charsmap() {
            [] => None,
            bytes => Some(Rules::read(bytes)?),
        };
        let fixed = pieces
            .iter()
            .filter(|piece| piece.kind == PieceKind::UserDefined);
        Ok(Self {
            rules,
            fixed: Trie::new(fixed.map(|piece| (&*piece.text, 0))),
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            space: if spec.escape_whitespaces() {
                SPACE
            } else {
                ' '
            },
        })
    }

    /// Whether the model wants a space in front of a text.
    pub(super) fn add_dummy_prefix(&self) -> bool {
        self.add_dummy_prefix
    }

    /// `text` as the pieces have it, with a space in front if `dummy_prefix`.
    pub(super) fn normalize(&self, text: &str, dummy_prefix: bool) -> String {
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while let (" ", after) = self.next(rest) {
                rest = after;
            }
        }
        let mut normalized = String::with_capacity(rest.len() + rest.len() / 4);
        if rest.is_empty() {
            return normalized;
        }
        if dummy_prefix {
            normalized.push(self.space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (mut piece, after) = self.next(rest);
            rest = after;
            if after_space {
                piece = piece.trim_start_matches(' ');
            }
            if !piece.is_empty() {
                normalized.extend(piece.chars().map(|c| if c == ' ' { self.space } else { c }));
                after_space = self.remove_extra_whitespaces && piece.ends_with(' ');
            }
        }
        if self.remove_extra_whitespaces {
            let length = normalized.trim_end_matches(self.space).len();
            normalized.truncate(length);
        }
        normalized
    }

    /// What the start of `text` becomes, and the text after it.
    fn next<'a>(&'a self, text: &'a str) -> (&'a str, &'a str) {
        if let Some((length, _)) = self.fixed.prefixes(text.as_bytes()).last() {
            return text.split_at(length);
        }
        if let Some(rules) = &self.rules
            && let Some((length, replacement)) = rules.longest(text)
        {
            return (replacement, &text[length..]);
        }
        text.split_at(text.chars().next().map_or(0, char::len_utf8))
    }
}

/// Rules from strings to strings, the precompiled charsmap: a double array (Darts) of the left sides, whose values
/// are the places of the right sides in one string.
#[derive(Clone, Debug)]
struct Rules {
    units: Vec<u32>,
    /// The right sides, each ended by a zero byte.
    replacements: String,
}

impl Rules {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |what| damaged(format_args!("the normalisation rules {what}"));
        let (size, rest) = bytes
            .split_first_chunk()
            .ok_or_else(|| wrong("end too early"))?;
        let (array, replacements) = rest
            .split_at_checked(u32::from_le_bytes(*size) as usize)
            .ok_or_else(|| wrong("end too early"))?;
        let (units, odd) = array.as_chunks();
        if units.is_empty() || !odd.is_empty() {
            return Err(wrong("have an impossible size"));
        }
        let replacements = str::from_utf8(replacements)
            .map_err(|_| wrong("replace by something that is no text"))?;
        Ok(Self {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            replacements: replacements.into(),
        })
    }

    /// The rule with the longest left side at the start of `text`: the side's length and the replacement. Damaged
    /// rules match nothing.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut at = offset(*self.units.first()?);
        for (length, byte) in (1..).zip(text.bytes()) {
            at ^= u32::from(byte);
            let Some(&unit) = self.units.get(at as usize) else {
                break;
            };
            if label(unit) != u32::from(byte) {
                break;
            }
            at ^= offset(unit);
            if has_value(unit) {
                longest = self
                    .units
                    .get(at as usize)
                    .map(|&unit| (length, value(unit)));
            }
        }
        let (length, place) = longest?;
        // A left side is a sequence of whole characters, or the file is damaged.
        if !text.is_char_boundary(length) {
            return None;
        }
        let replacement = self.replacements.get(place as usize..)?;
        Some((length, replacement.split('\0').next().unwrap_or_default()))
    }
}

/// Darts' unit: the label, with a bit that no byte has where the unit is a value.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

fn has_value(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

fn value(unit: u32) -> u32 {
    unit & !(1 << 31)
}

fn offset(unit: u32) -> u32 {
    // Large offsets are stored without their last eight bits.
    (unit >> 10) << ((unit & 1 << 9) >> 6)
}
