//! Beam search as transformers 4.57 does it (`GenerationMixin._beam_search`), one example at a time in its
//! bookkeeping, all examples together in the model.

use std::borrow::Cow;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::best::most_probable;
use super::{Generation, may_leave};
use crate::position::SelfBias;
use crate::{EncoderOutput, EosTokenId, KvCache, T5};

/// A hypothesis: its ids and its log-probability, divided by the length penalty once it has ended.
struct Hypothesis {
    ids: Vec<u32>,
    /// Where in the cache lie the start token and all of its ids but the last.
    places: Vec<usize>,
    score: f64,
}

/// The hypotheses about one example.
struct Beams {
    /// Its row in the batch that was given.
    example: usize,
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
    /// The cache and the decoder take the hypotheses about an example for positions of one row: each has a place in the
    /// cache for each of its tokens, which those that go on from it share, and sees no others. So nothing is ever copied
    /// when hypotheses change their order, and an example's encoder output is read once for all of its hypotheses.
    pub(super) fn beam_search(
        &self,
        encoded: &EncoderOutput,
        generation: &Generation,
    ) -> Vec<Vec<u32>> {
        let [batch, _, _] = encoded.hidden.dims();
        let count = generation.num_beams;
        let mut encoded = encoded.clone();
        let mut examples: Vec<Beams> = (0..batch).map(Beams::new).collect();
        let mut answers = vec![Vec::new(); batch];
        let later = generation.max_new_tokens.saturating_sub(1);
        let places = count.saturating_mul(later).saturating_add(1);
        let mut cache = KvCache::expecting(places);
        // The position of each place in the cache.
        let mut positions = Vec::new();
        for length in 1..=generation.max_new_tokens {
            // In the beginning there is one hypothesis: that nothing has been said.
            let rows = if length == 1 { 1 } else { count };
            let first = positions.len();
            positions.extend(std::iter::repeat_n(length - 1, rows));
            let logits = self.next(&examples, rows, &positions, &encoded, &mut cache);
            let [_, _, width] = logits.dims();
            let logits = logits.into_data();
            // As they lie, unless they are of another type.
            let logits: Cow<'_, [f32]> = match logits.as_slice() {
                Ok(logits) => logits.into(),
                Err(_) => logits.iter().collect(),
            };
            let eos = &self.config().eos_token_id;
            examples
                .par_iter_mut()
                .zip(logits.par_chunks_exact(rows * width))
                .for_each(|(beams, logits)| {
                    beams.step(logits, width, first, length, eos, generation);
                });
            let going = |beams: &Beams| {
                beams.can_improve && !(generation.early_stopping && beams.ended.len() == count)
            };
            let places: Vec<usize> = (0..examples.len())
                .filter(|&place| going(&examples[place]))
                .collect();
            if places.is_empty() {
                break;
            }
            if may_leave(places.len(), examples.len()) {
                cache.select(&places);
                encoded = encoded.select(&places);
                for beams in examples.extract_if(.., |beams| !going(beams)) {
                    beams.answer(&mut answers);
                }
            }
        }
        for beams in examples {
            beams.answer(&mut answers);
        }
        answers
    }

    /// Logits of what follows the hypotheses, `rows` for each example: where there are fewer, of anything.
    fn next(
        &self,
        examples: &[Beams],
        rows: usize,
        positions: &[usize],
        encoded: &EncoderOutput,
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let first = positions.len() - rows;
        let (mut last, mut visible) = (Vec::new(), Vec::new());
        for beams in examples {
            for row in 0..rows {
                let open = beams.open.get(row);
                let id = match open {
                    Some(open) => open.ids.last().copied(),
                    None => Some(self.config().pad_id()),
                };
                last.push(id.unwrap_or(self.config().decoder_start_token_id) as i32);
                let mut places = open.map_or(Vec::new(), |open| open.places.clone());
                places.push(first + row);
                visible.push(places);
            }
        }
        let bias = &self.decoder.position_bias;
        let bias = SelfBias::hypotheses(bias, positions, &visible, examples.len());
        let last = TensorData::new(last, [examples.len(), rows]);
        let last = Tensor::from_data(last, &encoded.hidden.device());
        self.decode_hypotheses(last, &bias, encoded, cache)
    }
}

impl Beams {
    /// That nothing has been said yet about this example.
    fn new(example: usize) -> Self {
        Self {
            example,
            open: vec![Hypothesis {
                ids: Vec::new(),
                places: Vec::new(),
                score: 0.0,
            }],
            ended: Vec::new(),
            can_improve: true,
        }
    }

    /// Continue all open hypotheses by one id. Their last ones have the places from `first` on.
    fn step(
        &mut self,
        logits: &[f32],
        width: usize,
        first: usize,
        length: usize,
        eos: &EosTokenId,
        generation: &Generation,
    ) {
        let count = generation.num_beams;
        if !self.can_improve {
            return;
        }
        // Twice as many as there are beams, so that enough go on if half of them end.
        let known = generation.vocabulary.unwrap_or(width).min(width);
        let rows = logits.chunks_exact(width).map(|logits| &logits[..known]);
        let candidates = self.best_continuations(rows, 2 * count);
        let penalty = (length as f64).powf(generation.length_penalty);
        let full = generation.early_stopping && self.ended.len() == count;
        let mut open = Vec::new();
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let Hypothesis { ids, places, .. } = &self.open[candidate.beam];
            let (mut ids, mut places) = (ids.clone(), places.clone());
            ids.push(candidate.id);
            places.push(first + candidate.beam);
            let ends = eos.contains(candidate.id) || length == generation.max_new_tokens;
            if ends && rank < count && !full {
                let score = candidate.score / penalty;
                self.ended.push(Hypothesis { ids, places, score });
            } else if !ends && open.len() < count {
                let score = candidate.score;
                open.push(Hypothesis { ids, places, score });
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
    }

    /// Answer with the best that has ended.
    fn answer(self, answers: &mut [Vec<u32>]) {
        if let Some(best) = self.ended.into_iter().next() {
            answers[self.example] = best.ids;
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use burn::tensor::{Device, Int};

    use super::*;

    /// Tokens, and the places that each sees. The third hypothesis of the first step is left, two go on from the first;
    /// then these change their order.
    const STEPS: [(&[i32], &[&[usize]]); 4] = [
        (&[0], &[&[0]]),
        (&[4, 5, 6], &[&[0, 1], &[0, 2], &[0, 3]]),
        (&[8, 7, 2], &[&[0, 1, 4], &[0, 1, 5], &[0, 2, 6]]),
        (&[9, 3, 1], &[&[0, 1, 5, 7], &[0, 1, 4, 8], &[0, 2, 6, 9]]),
    ];
    const SAID: [[i32; 4]; 3] = [[0, 4, 7, 9], [0, 4, 8, 3], [0, 5, 2, 1]];

    #[test]
    fn hypotheses_see_their_own_tokens_only() {
        let device = Device::flex();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gated_untied");
        let model = T5::from_pretrained(golden, &device).unwrap();
        let ids = Tensor::<2, Int>::from_ints([[5, 9, 30, 1], [7, 8, 1, 0]], &device);
        let mask = ids.clone().greater_elem(0).float();
        let encoded = model.encode(model.embed(ids), mask);
        let alone = |text: usize, said: [i32; 4]| {
            let said = Tensor::from_ints([said], &device);
            let logits = model.decode(said, &encoded.select(&[text]), None);
            let [_, _, width] = logits.dims();
            logits.slice([0..1, 3..4, 0..width])
        };
        let expected: Vec<Tensor<3>> = (0..2)
            .flat_map(|text| SAID.map(|said| alone(text, said)))
            .collect();

        let mut cache = KvCache::expecting(8);
        let (mut positions, mut found) = (Vec::new(), None);
        for (position, (tokens, seen)) in STEPS.iter().enumerate() {
            positions.extend(tokens.iter().map(|_| position));
            let seen = [*seen, *seen].concat().into_iter();
            let visible: Vec<_> = seen.map(<[usize]>::to_vec).collect();
            let bias = &model.decoder.position_bias;
            let bias = SelfBias::hypotheses(bias, &positions, &visible, 2);
            let last = Tensor::<1, Int>::from_ints(&[*tokens, *tokens].concat()[..], &device);
            let last = last.reshape([2, tokens.len()]);
            found = Some(model.decode_hypotheses(last, &bias, &encoded, &mut cache));
        }
        let found = found.unwrap().into_data();
        let expected = Tensor::cat(expected, 1).into_data();
        assert_eq!(found.num_elements(), expected.num_elements());
        for (found, expected) in found.iter::<f32>().zip(expected.iter::<f32>()) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}
