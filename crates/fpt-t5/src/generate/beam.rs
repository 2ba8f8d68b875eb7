//! Beam search as transformers 4.57 does it (`GenerationMixin._beam_search`), one example at a time in its
//! bookkeeping, all examples together in the model.

use super::{Generation, column};
use crate::{EncoderOutput, KvCache, T5};

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
            let logits = self.next_logits(input, &encoded, &mut cache, generation);
            let [_, width] = logits.dims();
            let logits: Vec<f32> = logits.into_data().iter().collect();
            let mut order = Vec::with_capacity(batch * count);
            let rows = logits.chunks_exact(count * width);
            for (example, (beams, logits)) in examples.iter_mut().zip(rows).enumerate() {
                let parents = beams.step(logits, width, length, self, generation);
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
        model: &T5,
        generation: &Generation,
    ) -> Vec<usize> {
        let count = generation.num_beams;
        if !self.can_improve {
            return Vec::new();
        }
        // Twice as many as there are beams, so that enough go on if half of them end.
        let candidates = self.best_continuations(logits, width, 2 * count);
        let penalty = (length as f64).powf(generation.length_penalty);
        let full = generation.early_stopping && self.ended.len() == count;
        let (mut open, mut parents) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let mut ids = self.open[candidate.beam].ids.clone();
            ids.push(candidate.id);
            let ends = model.config().eos_token_id.contains(candidate.id)
                || length == generation.max_new_tokens;
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

    /// The `keep` best continuations of all open hypotheses, best first.
    fn best_continuations(&self, logits: &[f32], width: usize, keep: usize) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (beam, (open, logits)) in self.open.iter().zip(logits.chunks_exact(width)).enumerate() {
            let top = logits.iter().copied().fold(f32::MIN, f32::max);
            let sum: f64 = logits.iter().map(|&x| f64::from(x - top).exp()).sum();
            let normaliser = f64::from(top) + sum.ln();
            let mut ids: Vec<u32> = (0..width as u32).collect();
            let by_logit = |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]);
            if keep < width {
                ids.select_nth_unstable_by(keep, by_logit);
                ids.truncate(keep);
            }
            all.extend(ids.into_iter().map(|id| Candidate {
                beam,
                id,
                score: open.score + f64::from(logits[id as usize]) - normaliser,
            }));
        }
        // Of equals, the smaller beam and id first, whatever order the selection left them in.
        all.sort_by(|a, b| (b.score.total_cmp(&a.score)).then((a.beam, a.id).cmp(&(b.beam, b.id))));
        all.truncate(keep);
        all
    }
}
