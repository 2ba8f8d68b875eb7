//! A copy of the output head in bytes, for greedy decoding.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;

use crate::fused::{Identity, Shortlist};

/// Tokens that are decoded before there is a copy: making it takes as long as it saves for so many.
const BREAK_EVEN: usize = 16;

/// The [`Shortlist`] of a model's head, made when it has decoded some tokens, and shared with the model's clones. It is
/// only ever used for the head that it was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundedHead(Arc<Mutex<Option<Copy>>>);

#[derive(Debug)]
struct Copy {
    of: Identity,
    /// Tokens that were decoded without it.
    tokens: usize,
    shortlist: Option<Arc<Shortlist>>,
}

impl RoundedHead {
    /// Of the first `known` logits of each row of `hidden`, `[rows, 1, in]`, under `head`, `[in, out]`: which is the
    /// largest, and of equals the first. Nothing where the logits are better computed.
    pub(crate) fn largest(
        &self,
        hidden: &Tensor<3>,
        head: &Tensor<2>,
        known: usize,
    ) -> Option<Vec<u32>> {
        let identity = Identity::worthwhile(hidden, head)?;
        let shortlist = match self.shortlist(identity) {
            Ok(shortlist) => shortlist,
            Err(Soon::Wait) => return None,
            Err(Soon::Make) => self.make(hidden, head)?,
        };
        shortlist.largest(hidden, head, known)
    }

    /// The shortlist of this head, if there is one.
    fn shortlist(&self, of: Identity) -> Result<Arc<Shortlist>, Soon> {
        let mut copy = self.lock();
        let copy = match &mut *copy {
            Some(copy) if copy.of == of => copy,
            // That of another head goes.
            other => other.insert(Copy {
                of,
                tokens: 0,
                shortlist: None,
            }),
        };
        if let Some(shortlist) = &copy.shortlist {
            return Ok(Arc::clone(shortlist));
        }
        copy.tokens += 1;
        Err(if copy.tokens > BREAK_EVEN {
            Soon::Make
        } else {
            Soon::Wait
        })
    }

    /// Make that of this head. Nobody is kept waiting meanwhile: who wants it, too, makes one.
    fn make(&self, hidden: &Tensor<3>, head: &Tensor<2>) -> Option<Arc<Shortlist>> {
        let shortlist = Arc::new(Shortlist::of(head)?);
        let of = Identity::worthwhile(hidden, head)?;
        if let Some(copy) = self.lock().as_mut().filter(|copy| copy.of == of) {
            copy.shortlist = Some(Arc::clone(&shortlist));
        }
        Some(shortlist)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Copy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do where there is no shortlist yet.
enum Soon {
    Wait,
    Make,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::Param;
    use burn::nn::Linear;
    use burn::tensor::{Device, Distribution, Int};

    use super::*;
    use crate::{EncoderOutput, Generation, KvCache, T5, T5Config};

    const ANSWER: usize = 2 * BREAK_EVEN;
    const VOCABULARY: usize = 8200;
    const D_MODEL: usize = 512;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    /// Random weights, a large head, and no token that ends an answer.
    fn model() -> T5 {
        let config = format!(
            r#"{{"vocab_size": {VOCABULARY}, "d_model": {D_MODEL}, "d_kv": 8, "d_ff": 32, "num_heads": 2,
                 "num_layers": 1, "eos_token_id": 100000, "pad_token_id": 0, "decoder_start_token_id": 0}}"#
        );
        let config: T5Config = serde_json::from_str(&config).unwrap();
        Device::flex().seed(7);
        T5::init(&config, &Device::flex())
    }

    /// One that lies as those of checkpoints do.
    fn own_head() -> Option<Linear> {
        let weight = random([VOCABULARY, D_MODEL]).transpose();
        Some(Linear {
            weight: Param::from_tensor(weight),
            bias: None,
        })
    }

    fn encoded(rows: usize) -> EncoderOutput {
        EncoderOutput {
            hidden: random([rows, 3, D_MODEL]),
            mask: Tensor::ones([rows, 3], &Device::flex()),
        }
    }

    /// By all logits of each token.
    fn by_logits(model: &T5, encoded: &EncoderOutput, known: usize) -> Vec<Vec<u32>> {
        let [rows, _, _] = encoded.hidden.dims();
        let mut cache = KvCache::new();
        let mut last = Tensor::<2, Int>::zeros([rows, 1], &Device::flex());
        let mut answers = vec![Vec::new(); rows];
        for _ in 0..ANSWER {
            let logits = model.decode(last, encoded, Some(&mut cache));
            last = logits
                .slice([0..rows, 0..1, 0..known])
                .squeeze_dim::<2>(1)
                .argmax(1);
            let ids = last.clone().into_data();
            for (answer, id) in answers.iter_mut().zip(ids.iter::<i64>()) {
                answer.push(id as u32);
            }
        }
        answers
    }

    fn check(model: &T5, rows: usize, known: usize) {
        let encoded = encoded(rows);
        let generation = Generation {
            vocabulary: Some(known),
            ..Generation::greedy(ANSWER)
        };
        let answers = model.generate(&encoded, &generation);
        assert_eq!(answers, by_logits(model, &encoded, known), "{rows} {known}");
    }

    /// Whether there is a shortlist of this head.
    fn has_copy(model: &T5) -> bool {
        let x = random([1, 1, D_MODEL]);
        let copy = model.rounded_head.lock();
        let of_this = |copy: &Copy| {
            copy.shortlist.is_some()
                && Identity::worthwhile(&x, &model.head_weight()).as_ref() == Some(&copy.of)
        };
        copy.as_ref().is_some_and(of_this)
    }

    /// Whether it can be told here: not on processors that do not multiply bytes.
    fn makes_copies(model: &T5) -> bool {
        Identity::worthwhile(&random([1, 1, D_MODEL]), &model.head_weight()).is_some()
    }

    #[test]
    fn ids_are_those_of_all_logits() {
        let tied = model();
        let mut own = model();
        own.lm_head = own_head();
        for model in [tied, own] {
            for (rows, known) in [(1, VOCABULARY), (3, 4000), (7, 1), (65, VOCABULARY)] {
                check(&model, rows, known);
            }
            assert_eq!(has_copy(&model), makes_copies(&model));
        }
    }

    #[test]
    fn a_copy_is_of_one_head_only() {
        let mut model = model();
        check(&model, 2, VOCABULARY);
        let clone = model.clone();
        assert_eq!(has_copy(&clone), makes_copies(&model));
        for _ in 0..2 {
            model.lm_head = own_head();
            assert!(!has_copy(&model));
            check(&model, 2, VOCABULARY);
            check(&clone, 2, VOCABULARY);
            check(&model, 2, 4000);
        }
        let head = model.lm_head.take().unwrap();
        let weight = head.weight.map(|weight| weight * -1.0);
        model.lm_head = Some(Linear { weight, bias: None });
        assert!(!has_copy(&model));
        check(&model, 2, VOCABULARY);
        for rounded in [
            model.clone().into_bf16().unwrap(),
            model.into_int8().unwrap(),
        ] {
            check(&rounded, 2, VOCABULARY);
            assert!(rounded.rounded_head.lock().is_none());
        }
    }

    /// Making a copy of a head takes as long as it saves for some tokens.
    #[test]
    fn short_answers_of_a_new_model_make_no_copy() {
        let model = model();
        let encoded = encoded(2);
        model.generate(&encoded, &Generation::greedy(BREAK_EVEN));
        assert!(!has_copy(&model));
        model.generate(&encoded, &Generation::beams(2, ANSWER));
        assert!(!has_copy(&model));
        model.generate(&encoded, &Generation::greedy(1));
        assert_eq!(has_copy(&model), makes_copies(&model));
    }
}
