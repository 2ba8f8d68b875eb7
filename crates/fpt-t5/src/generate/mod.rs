//! Text from a T5: greedy decoding and beam search.

mod beam;
mod best;
mod rounded_head;

use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use crate::{EncoderOutput, KvCache, T5, fused, reads_wait};

pub(crate) use rounded_head::RoundedHead;

/// So many tokens are decoded between two reads, where reads wait: the device is never idle, and few are in vain.
const TOKENS_A_READ: usize = 4;

/// How to generate, with the names of transformers' `GenerationConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Limit of a row's length, the end-of-sequence token included, the start token not.
    pub max_new_tokens: usize,
    /// Hypotheses that are followed at once; 1 is greedy decoding.
    pub num_beams: usize,
    /// Beam search divides a hypothesis' log-probability by its length to this power: above 0 it favours long
    /// answers, below short ones.
    pub length_penalty: f64,
    /// Whether beam search is done as soon as `num_beams` hypotheses have ended, however good the open ones are.
    pub early_stopping: bool,
    /// Ids from here on are never generated. The embedding of a T5 has more rows than its tokenizer has tokens
    /// (32128 against 32100): give the tokenizer's number.
    pub vocabulary: Option<usize>,
}

impl Generation {
    /// The most probable token at each step.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self::beams(1, max_new_tokens)
    }

    /// Beam search with transformers' defaults: `length_penalty` 1, no `early_stopping`.
    pub fn beams(num_beams: usize, max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            num_beams,
            length_penalty: 1.0,
            early_stopping: false,
            vocabulary: None,
        }
    }
}

impl T5 {
    /// The answer to every row of `encoded`. A row ends with the end-of-sequence token, which is part of it, unless
    /// the limit ends it; the start token is not part of it.
    pub fn generate(&self, encoded: &EncoderOutput, generation: &Generation) -> Vec<Vec<u32>> {
        match generation.num_beams {
            0 | 1 => self.greedy(encoded, generation),
            _ => self.beam_search(encoded, generation),
        }
    }

    fn greedy(&self, encoded: &EncoderOutput, generation: &Generation) -> Vec<Vec<u32>> {
        let tokens_a_read = if reads_wait(&encoded.hidden.device()) {
            TOKENS_A_READ
        } else {
            1
        };
        self.greedy_reading(encoded, generation, tokens_a_read)
    }

    /// Greedy decoding whose ids are read from the device once every `tokens_a_read` tokens; until then, rows that have
    /// ended go on, and what they say is cut off. They leave the batch as soon as they [may](may_leave).
    fn greedy_reading(
        &self,
        encoded: &EncoderOutput,
        generation: &Generation,
        tokens_a_read: usize,
    ) -> Vec<Vec<u32>> {
        let [batch, _, _] = encoded.hidden.dims();
        let eos = &self.config().eos_token_id;
        let has_ended = |answer: &[u32]| answer.last().is_some_and(|&id| eos.contains(id));
        let mut answers: Vec<Vec<u32>> = vec![Vec::new(); batch];
        let mut encoded = encoded.clone();
        let mut cache = KvCache::expecting(generation.max_new_tokens);
        // Which answer each row of the batch goes on with, and the last token of each.
        let mut rows: Vec<usize> = (0..batch).collect();
        let mut last = vec![self.config().decoder_start_token_id; batch];
        let mut left = generation.max_new_tokens;
        while left > 0 {
            let count = left.min(tokens_a_read);
            left -= count;
            let next = self.most_probable(&last, count, &encoded, &mut cache, generation);
            for ((&row, last), ids) in rows.iter().zip(&mut last).zip(next.chunks_exact(count)) {
                for &id in ids {
                    let ended = has_ended(&answers[row]);
                    *last = if ended { self.config().pad_id() } else { id };
                    if !ended {
                        answers[row].push(*last);
                    }
                }
            }
            let going: Vec<usize> = (0..rows.len())
                .filter(|&place| !has_ended(&answers[rows[place]]))
                .collect();
            if going.is_empty() {
                break;
            }
            if may_leave(going.len(), rows.len()) {
                cache.select(&going);
                encoded = encoded.select(&going);
                rows = going.iter().map(|&place| rows[place]).collect();
                last = going.iter().map(|&place| last[place]).collect();
            }
        }
        answers
    }

    /// The most probable `count` tokens after `last`, one id a row, each after those before it: row by row.
    fn most_probable(
        &self,
        last: &[u32],
        count: usize,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
        generation: &Generation,
    ) -> Vec<u32> {
        let mut input = column(last, encoded);
        let mut found = Vec::with_capacity(count);
        for _ in 0..count {
            input = self.next_ids(input, encoded, cache, generation);
            found.push(input.clone());
        }
        let found = match found.len() {
            1 => input,
            _ => Tensor::cat(found, 1),
        };
        let ids = found.into_data();
        ids.iter::<i64>().map(|id| id as u32).collect()
    }

    /// What most probably follows `last`, ids like those `[batch, 1]`.
    fn next_ids(
        &self,
        last: Tensor<2, Int>,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
        generation: &Generation,
    ) -> Tensor<2, Int> {
        let hidden = self.before_head(last, encoded, cache);
        let head = self.head_weight();
        let [batch, _, _] = hidden.dims();
        let [_, width] = head.dims();
        let known = generation.vocabulary.unwrap_or(width).min(width);
        if let Some(ids) = self.rounded_head.largest(&hidden, &head, known) {
            return column(&ids, encoded);
        }
        let logits = fused::linear(hidden, head, FloatDType::F32).squeeze_dim::<2>(1);
        let logits = if known < width {
            logits.slice([0..batch, 0..known])
        } else {
            logits
        };
        logits.argmax(1)
    }
}

/// Whether those that have ended leave a batch of which so many go on: less than a quarter is not worth a copy of the
/// cache.
fn may_leave(going: usize, all: usize) -> bool {
    going * 4 <= all * 3
}

/// `ids`, one a row, `[rows, 1]`, as the decoder of `encoded` takes them.
fn column(ids: &[u32], encoded: &EncoderOutput) -> Tensor<2, Int> {
    let input: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    Tensor::from_data(
        TensorData::new(input, [ids.len(), 1]),
        &encoded.hidden.device(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::T5Tokenizer;

    #[test]
    fn answers_do_not_depend_on_how_often_ids_are_read() {
        let directory = fpt_lab::shipped_model();
        let model = T5::from_pretrained(&directory, &Device::flex()).unwrap();
        let tokenizer = T5Tokenizer::from_directory(&directory).unwrap();
        let texts = [
            "question: who sold the ring to Tina?",
            "Ben likes fish.",
            "",
            "on Friday Ben walked to the market. question: who walked to the market?",
            "Vera paid Carl for the piano.",
            "no",
            "yes no yes no yes no yes no yes",
        ];
        let encoded = texts.map(|text| tokenizer.encode(text).unwrap());
        let longest = encoded.iter().map(Vec::len).max().unwrap();
        let padded = |row: &Vec<u32>| {
            let padding = std::iter::repeat_n(0, longest - row.len());
            let ids = row.iter().map(|&id| id as i32);
            ids.chain(padding).collect::<Vec<i32>>()
        };
        let ids: Vec<i32> = encoded.iter().flat_map(padded).collect();
        let shape = [texts.len(), longest];
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &model.device());
        let mask = ids.clone().greater_elem(0).float();
        let encoded = model.encode(model.embed(ids), mask);

        for max_new_tokens in [0, 1, 7, 30] {
            let generation = Generation {
                vocabulary: Some(tokenizer.vocab_size()),
                ..Generation::greedy(max_new_tokens)
            };
            let often = model.greedy_reading(&encoded, &generation, 1);
            assert_eq!(often, model.generate(&encoded, &generation));
            for tokens_a_read in [2, TOKENS_A_READ, 8, 64] {
                let seldom = model.greedy_reading(&encoded, &generation, tokens_a_read);
                assert_eq!(often, seldom, "{max_new_tokens}, {tokens_a_read}");
            }
            // Some rows end long before others, and leave the batch.
            let mut lengths: Vec<usize> = often.iter().map(Vec::len).collect();
            lengths.sort_unstable();
            assert!(lengths.iter().all(|&length| length <= max_new_tokens));
            lengths.dedup();
            assert!(max_new_tokens < 30 || lengths.len() > 2, "{lengths:?}");
        }
    }
}
