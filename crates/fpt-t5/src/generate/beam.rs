//! Beam search as transformers 4.57 does it (`GenerationMixin._beam_search`), one example at a time in its
//! bookkeeping, all examples together in the model.

use std::borrow::Cow;

use rayon::prelude::*;

use super::best::most_probable;
use super::{Generation, column};
use crate::{EncoderOutput, EosTokenId, KvCache, T5};

/// A hypothesis: its ids and its log-probability, divided by the length penalty once it has ended.
#[derive(Clone, Debug)]
struct Hypothesis {
    ids: Vec<u32>,
    score: f64,
}

/// The hypotheses of one example.
struct Beams {
    /// Still growing, best first.
    open: Vec<Hypothesis>,
    /// Ended, best first, at most as many as there are beams.
    ended: Vec<Hypothesis>,
    /// Whether an open one may still become better than those that ended.
    can_improve: bool,
}

/// A continuation of an open hypothesis.
struct Candidate {
    beam: usize,
    id: u32,
    score: f64,
}

impl T5 {
    pub(super) fn beam_search(
        &self,
        encoded: &EncoderOutput,
        generation: &Generation,
    ) -> Vec<Vec<u32>> {
        let [batch, _, _] = encoded.hidden.dims();
        let count = generation.num_beams;
        let start = self.config().decoder_start_token_id;
        let repeated: Vec<usize> = (0..batch)
            .flat_map(|row| std::iter::repeat_n(row, count))
            .collect();
        let encoded = encoded.select(&repeated);
        // Only the first beam counts in the beginning, or all beams would be the same.
        let mut examples: Vec<Beams> = (0..batch)
            .map(|_| Beams {
                open: vec![Hypothesis {
                    ids: Vec::new(),
                    score: 0.0,
                }],
                ended: Vec::new(),
                can_improve: true,
            })
            .collect();
        let mut last = vec![start; batch * count];
        let mut cache = KvCache::new();
        for length in 1..=generation.max_new_tokens {
            let input = column(&last, &encoded);
            let logits = self.decode(input, &encoded, &mut cache);
            let [_, _, width] = logits.dims();
            let logits = logits.into_data();
            // As they lie, unless they are of another type.
            let logits: Cow<'_, [f32]> = match logits.as_slice() {
                Ok(logits) => logits.into(),
                Err(_) => logits.iter().collect(),
            };
            let eos = &self.config().eos_token_id;
            let parents: Vec<Vec<usize>> = examples
                .par_iter_mut()
                .zip(logits.par_chunks_exact(count * width))
                .map(|(beams, logits)| beams.step(logits, width, length, eos, generation))
                .collect();
            let mut order = Vec::with_capacity(batch * count);
            for (example, (beams, parents)) in examples.iter().zip(parents).enumerate() {
                for beam in 0..count {
                    // An example that is done fills its rows with what comes.
                    let parent = parents.get(beam).copied().unwrap_or(0);
                    order.push(example * count + parent);
                    let open = beams.open.get(beam);
                    last[example * count + beam] = open
                        .and_then(|open| open.ids.last().copied())
                        .unwrap_or(self.config().pad_id());
                }
            }
            let done = |beams: &Beams| {
                !beams.can_improve || (generation.early_stopping && beams.ended.len() == count)
            };
            if examples.iter().all(done) {
                break;
            }
            cache.reorder(&order);
        }
        examples
            .into_iter()
            .map(|beams| beams.ended.into_iter().next().map_or(Vec::new(), |h| h.ids))
            .collect()
    }
}

impl Beams {
    /// Continue all open hypotheses by one id; returns which of them each new open one comes from.
    fn step(
        &mut self,
        logits: &[f32],
        width: usize,
        length: usize,
        eos: &EosTokenId,
        generation: &Generation,
    ) -> Vec<usize> {
        let count = generation.num_beams;
        if !self.can_improve {
            return Vec::new();
        }
        // Twice as many as there are beams, so that enough go on if half of them end.
        let known = generation.vocabulary.unwrap_or(width).min(width);
        let rows = logits.chunks_exact(width).map(|logits| &logits[..known]);
        let candidates = self.best_continuations(rows, 2 * count);
        let penalty = (length as f64).powf(generation.length_penalty);
        let full = generation.early_stopping && self.ended.len() == count;
        let (mut open, mut parents) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let mut ids = self.open[candidate.beam].ids.clone();
            ids.push(candidate.id);
            let ends = eos.contains(candidate.id) || length == generation.max_new_tokens;
            if ends && rank < count && !full {
                let score = candidate.score / penalty;
                self.ended.push(Hypothesis { ids, score });
            } else if !ends && open.len() < count {
                let score = candidate.score;
                open.push(Hypothesis { ids, score });
                parents.push(candidate.beam);
            }
        }
        self.open = open;
        // A stable sort: of equals, those that ended first stay first.
        self.ended.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.ended.truncate(count);
        if self.ended.len() == count {
            // Whether the best open one would win if it ended now: the heuristic of `early_stopping=False`.
            let worst = self.ended.last().map_or(f64::MIN, |h| h.score);
            let best = self.open.first().map_or(f64::MIN, |h| h.score / penalty);
            self.can_improve = best > worst;
        }
        if self.open.is_empty() {
            self.can_improve = false;
        }
        parents
    }

    /// The `keep` best continuations of all open hypotheses by their `logits`, best first.
    fn best_continuations<'a>(
        &self,
        logits: impl Iterator<Item = &'a [f32]>,
        keep: usize,
    ) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (beam, (open, logits)) in self.open.iter().zip(logits).enumerate() {
            let best = most_probable(logits, keep).into_iter();
            all.extend(best.map(|(id, log_probability)| Candidate {
                beam,
                id,
                score: open.score + log_probability,
            }));
        }
        // Of equals, the smaller beam and id first.
        all.sort_by(|a, b| (b.score.total_cmp(&a.score)).then((a.beam, a.id).cmp(&(b.beam, b.id))));
        all.truncate(keep);
        all
    }
}
