//! Texts that are answered without a prompt, also written down for another program to answer.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_t5::{Generation, Lm, SaveOptions, T5};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::work::{Shape, random_model};

const FILE: &str = "texts.json";

/// `texts.json`: what is answered, and how.
#[derive(Serialize, Deserialize)]
pub(super) struct Texts {
    /// Texts of a batch.
    pub rows: usize,
    /// 1 is greedy decoding.
    pub num_beams: usize,
    pub max_new_tokens: usize,
    /// Token ids; all of one length, so that nothing is padded.
    pub sources: Vec<Vec<i32>>,
}

/// Write a model of random weights in Hugging Face's layout.
pub(super) fn save_model(shape: &Shape, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to create {}", directory.display()))?;
    random_model(shape, &Device::flex())?.save_pretrained(directory, SaveOptions::default())?;
    Ok(())
}

impl Texts {
    /// The first `count` of an endless row of texts.
    pub(super) fn random(count: usize, length: usize) -> Vec<Vec<i32>> {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut text = || (0..length).map(|_| random.random_range(2..32000)).collect();
        (0..count).map(|_| text()).collect()
    }

    /// What is answered at once.
    pub(super) fn batches(&self) -> impl Iterator<Item = &[Vec<i32>]> {
        self.sources.chunks(self.rows)
    }

    /// Write them beside their model.
    pub(super) fn save(&self, directory: &Path) -> anyhow::Result<()> {
        fpt_files::write(directory.join(FILE), serde_json::to_string(self)?)?;
        Ok(())
    }

    /// What [`Texts::save`] wrote.
    pub(super) fn load(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let texts: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is not in its format", path.display()))?;
        let mut lengths = texts.sources.iter().map(Vec::len);
        let first = lengths.next();
        ensure!(
            texts.rows > 0 && first.is_some() && lengths.all(|length| Some(length) == first),
            "{}: there must be texts, all of one length, and rows in a batch",
            path.display()
        );
        Ok(texts)
    }

    /// The answer to each.
    pub(super) fn answer(&self, model: &T5) -> Vec<Vec<u32>> {
        let device = model.device();
        let generation = Generation {
            early_stopping: true,
            ..Generation::beams(self.num_beams, self.max_new_tokens)
        };
        let mut answers = Vec::new();
        for batch in self.batches() {
            let shape = [batch.len(), batch[0].len()];
            let source: Tensor<2, Int> =
                Tensor::from_data(TensorData::new(batch.concat(), shape), &device);
            let mask = Tensor::ones(shape, &device);
            answers.extend(Lm::answer(model, None, source, mask, &generation));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: usize, sources: Vec<Vec<i32>>) -> Texts {
        Texts {
            rows,
            num_beams: 1,
            max_new_tokens: 4,
            sources,
        }
    }

    #[test]
    fn fewer_texts_are_the_first_of_more() {
        let texts = Texts::random(3, 5);
        assert_eq!(texts[..2], Texts::random(2, 5));
        assert_ne!(texts[0], texts[1]);
        assert!(texts.iter().all(|text| text.len() == 5));
    }

    #[test]
    fn batches_come_back_as_they_were_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let sources = Texts::random(5, 3);
        texts(2, sources.clone())
            .save(directory.path())
            .expect("a file");
        let texts = Texts::load(directory.path()).expect("the texts");
        let batches: Vec<_> = texts.batches().collect();
        assert_eq!(batches, [&sources[..2], &sources[2..4], &sources[4..]]);
    }

    #[test]
    fn what_would_be_padded_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for bad in [
            texts(2, vec![vec![2], vec![2, 3]]),
            texts(2, vec![]),
            texts(0, vec![vec![2]]),
        ] {
            bad.save(directory.path()).expect("a file");
            assert!(Texts::load(directory.path()).is_err());
        }
    }
}
