//! A training set of a real one's size.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fpt_t5::T5Tokenizer;
use fpt_tasks::{
    Lengths, PadTo, Split, TaskKind, TokenBatch, TrainBatches, read_split, task, tokenize,
};
use fpt_world::{TaskOptions, write_mnli};

/// The lines of MNLI's training file.
pub const LINES: usize = 392_702;
const BATCH: usize = 32;

pub struct LargeData {
    tokenizer: T5Tokenizer,
    directory: PathBuf,
}

impl LargeData {
    /// Write `mnli/train.tsv` and the scale model's tokenizer; files that are there already are kept.
    pub fn save(directory: &Path, model: &Path) -> anyhow::Result<()> {
        let copy = directory.join("tokenizer.json");
        if copy.exists() {
            return Ok(());
        }
        write_mnli(
            directory,
            &TaskOptions {
                seed: 1,
                train: LINES,
                dev: 10,
                test: 10,
            },
        )?;
        std::fs::copy(model.join("tokenizer.json"), &copy)
            .with_context(|| format!("failed to write {}", copy.display()))?;
        Ok(())
    }

    pub fn load(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            tokenizer: T5Tokenizer::from_directory(directory)?,
            directory: directory.to_path_buf(),
        })
    }

    /// Read, tokenize, and pad an epoch's batches. Returns the number of source and target tokens.
    pub fn tokens(&self) -> anyhow::Result<usize> {
        let data = read_split(&self.directory, TaskKind::Mnli, Split::Train)?;
        let limits = Lengths {
            max_source: 492,
            max_target: task(TaskKind::Mnli).max_target_length(),
        };
        let encode = |text: &str| self.tokenizer.encode(text);
        let tokens = tokenize(&data.examples, encode, limits)?;
        let lengths = tokens.iter().map(|e| e.source.len()).collect();
        let batches = TrainBatches::new(lengths, BATCH, 0)?;
        for step in 0..batches.steps_per_epoch() {
            let batch = TokenBatch::new(&tokens, batches.indices(step), PadTo::Multiple(4));
            std::hint::black_box(batch);
        }
        Ok(tokens.iter().map(|e| e.source.len() + e.target.len()).sum())
    }
}
