//! What the model can do: masked-token accuracy of each skill.

use std::collections::BTreeMap;

use burn::tensor::Device;
use fpt_t5::{IGNORED_LABEL, Lm, NoTaps, T5};
use fpt_tasks::{PadTo, TokenBatch};
use fpt_train::batch_tensors;
use fpt_world::{Corpus, Skill};
use tokenizers::Tokenizer;

use crate::batch::encode;
use crate::stream::{PROBE, stream};
use crate::{PretrainConfig, PretrainError};

/// Share (percent) of the hidden words that the model finds, teacher-forced, by skill, on fresh documents
/// of full difficulty. Sentinels and the end of the sequence do not count.
pub(crate) fn skills(
    model: &T5,
    config: &PretrainConfig,
    tokenizer: &Tokenizer,
    device: &Device,
) -> Result<BTreeMap<String, f64>, PretrainError> {
    let mut corpus = Corpus::new(stream(config.seed, PROBE));
    let mut accuracies = BTreeMap::new();
    for skill in Skill::ALL {
        let mut examples = (0..config.probe_examples)
            .map(|_| {
                let example = corpus.skill_example(skill, config.curriculum.full());
                encode(&example, tokenizer)
            })
            .collect::<Result<Vec<_>, _>>()?;
        examples.sort_by_key(|example| example.source.len());
        let (mut right, mut all) = (0usize, 0usize);
        for part in examples.chunks(64) {
            let batch = TokenBatch::new(part, (0..part.len()).collect(), PadTo::Multiple(1));
            let batch = batch_tensors(&batch, device);
            let best = model.logits(None, &batch, &mut NoTaps).argmax(2);
            let labels = batch.labels.into_data();
            for (found, wanted) in best.into_data().iter::<i64>().zip(labels.iter::<i64>()) {
                let special = wanted <= 2 || is_sentinel(tokenizer, wanted);
                if wanted != i64::from(IGNORED_LABEL) && !special {
                    all += 1;
                    right += usize::from(found == wanted);
                }
            }
        }
        accuracies.insert(skill.to_string(), 100.0 * right as f64 / all.max(1) as f64);
    }
    Ok(accuracies)
}

fn is_sentinel(tokenizer: &Tokenizer, id: i64) -> bool {
    u32::try_from(id)
        .ok()
        .and_then(|id| tokenizer.id_to_token(id))
        .is_some_and(|token| token.starts_with("<extra_id_"))
}
