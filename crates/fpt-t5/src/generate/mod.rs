//! Text from a T5: greedy decoding and beam search.

mod beam;

use burn::tensor::{Int, Tensor, TensorData};

use crate::{EncoderOutput, KvCache, T5};

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

    /// Rows that have ended leave the batch as soon as they are a quarter of it: fewer are not worth a copy of the cache.
    fn greedy(&self, encoded: &EncoderOutput, generation: &Generation) -> Vec<Vec<u32>> {
        let [batch, _, _] = encoded.hidden.dims();
        let eos = self.config().eos_token_id;
        let mut answers: Vec<Vec<u32>> = vec![Vec::new(); batch];
        let mut encoded = encoded.clone();
        let mut cache = KvCache::new();
        // Which answer each row of the batch goes on with, and the last token of each.
        let mut rows: Vec<usize> = (0..batch).collect();
        let mut last = vec![self.config().decoder_start_token_id; batch];
        for _ in 0..generation.max_new_tokens {
            let next = self.next_logits(&last, &encoded, &mut cache, generation);
            let next = next.argmax(1).into_data();
            for ((&row, last), id) in rows.iter().zip(&mut last).zip(next.iter::<i64>()) {
                let ended = answers[row].last() == Some(&eos);
                *last = if ended {
                    self.config().pad_token_id
                } else {
                    id as u32
                };
                if !ended {
                    answers[row].push(*last);
                }
            }
            let going: Vec<usize> = (0..rows.len())
                .filter(|&place| answers[rows[place]].last() != Some(&eos))
                .collect();
            if going.is_empty() {
                break;
            }
            if going.len() * 4 <= rows.len() * 3 {
                cache.select(&going);
                encoded = encoded.select(&going);
                rows = going.iter().map(|&place| rows[place]).collect();
                last = going.iter().map(|&place| last[place]).collect();
            }
        }
        answers
    }

    /// Logits `[batch, vocabulary]` of what follows `last`, one id a row.
    fn next_logits(
        &self,
        last: &[u32],
        encoded: &EncoderOutput,
        cache: &mut KvCache,
        generation: &Generation,
    ) -> Tensor<2> {
        let input: Vec<i32> = last.iter().map(|&id| id as i32).collect();
        let input = Tensor::<2, Int>::from_data(
            TensorData::new(input, [last.len(), 1]),
            &encoded.hidden.device(),
        );
        let logits = self.decode(input, encoded, cache).squeeze_dim::<2>(1);
        let [batch, width] = logits.dims();
        match generation.vocabulary {
            Some(known) if known < width => logits.slice([0..batch, 0..known]),
            _ => logits,
        }
    }
}
