//! The best segmentation of a text by a Unigram model.

use std::ops::Range;

use super::damaged;
use super::proto::PieceKind;
use super::trie::Trie;

/// How much worse an unknown character is than the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;

pub(super) struct UnigramPiece<'a> {
    pub(super) text: &'a str,
    pub(super) kind: PieceKind,
    pub(super) score: f32,
}

/// Pieces and their scores.
#[derive(Clone, Debug)]
pub(super) struct Unigram {
    trie: Trie,
    /// By id; `None` for a piece of fixed text, which is to win always.
    scores: Vec<Option<f32>>,
    unknown_score: f32,
    largest_score: f32,
}

/// The best way to reach a position of the text.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    /// Where its last piece starts; the position itself if there is no way yet.
    start: usize,
    id: u32,
}

impl Unigram {
    pub(super) fn new<'a>(
        pieces: impl Iterator<Item = UnigramPiece<'a>> + Clone,
    ) -> Result<Self, String> {
        let normal = pieces
            .clone()
            .filter(|piece| piece.kind == PieceKind::Normal)
            .map(|piece| piece.score);
        let smallest_score = normal
            .clone()
            .reduce(f32::min)
            .ok_or_else(|| damaged("it has no pieces but special ones"))?;
        Ok(Self {
            trie: Trie::new((0..).zip(pieces.clone()).filter_map(|(id, piece)| {
                // Control tokens are never found in a text.
                matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined)
                    .then_some((piece.text, id))
            })),
            scores: pieces
                .map(|piece| (piece.kind != PieceKind::UserDefined).then_some(piece.score))
                .collect(),
            unknown_score: smallest_score - UNKNOWN_PENALTY,
            // Not below zero, as in SentencePiece.
            largest_score: normal.fold(f32::MIN_POSITIVE, f32::max),
        })
    }

    /// The pieces of `text` and their ids, unknown characters one by one. Ties go to the segmentation that
    /// SentencePiece finds first; so that the same ones are ties, sums are `f32`.
    pub(super) fn segment(&self, text: &str, unknown: u32) -> Vec<(Range<usize>, u32)> {
        let mut best: Vec<Best> = (0..=text.len())
            .map(|start| Best {
                score: 0.0,
                start,
                id: unknown,
            })
            .collect();
        for (start, character) in text.char_indices() {
            let so_far = best[start].score;
            let mut offer = |length: usize, score: f32, id: u32| {
                let target = &mut best[start + length];
                if target.start == start + length || score > target.score {
                    *target = Best { score, start, id };
                }
            };
            let mut known = false;
            for (length, id) in self.trie.prefixes(&text.as_bytes()[start..]) {
                let score = match self.scores[id as usize] {
                    Some(score) => score,
                    None => length as f32 * self.largest_score - 0.1,
                };
                offer(length, so_far + score, id);
                known |= length == character.len_utf8();
            }
            if !known {
                offer(character.len_utf8(), so_far + self.unknown_score, unknown);
            }
        }
        // Back from the end. Every character can be reached, at worst as an unknown one after the one before.
        let mut pieces = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let Best { start, id, .. } = best[end];
            pieces.push((start..end, id));
            end = start;
        }
        pieces.reverse();
        pieces
    }
}
